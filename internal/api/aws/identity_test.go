package aws_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func errorAs[E error](err error) (E, bool) {
	var e E
	ok := errors.As(err, &e)
	return e, ok
}

func (f *front) createRole(t *testing.T, name string) *iamtypes.Role {
	t.Helper()
	out, err := f.iam.CreateRole(t.Context(), &sdkiam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: sdk.String(trust)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Role
}

func TestTheCallersIdentity(t *testing.T) {
	f := start(t)
	me, err := f.sts.GetCallerIdentity(t.Context(), &sdksts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if *me.Account != account || *me.Arn != "arn:aws:iam::000000000000:user/admin" || *me.UserId != f.key.AccessKeyID {
		t.Errorf("got %+v", me)
	}
}

func TestAKeptRoleCanBeAssumed(t *testing.T) {
	f := start(t)
	made := f.createRole(t, "deploy")
	assume := func(arn string, seconds int32) (*sdksts.AssumeRoleOutput, error) {
		return f.sts.AssumeRole(t.Context(), &sdksts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: sdk.String("ci"), DurationSeconds: &seconds})
	}
	out, err := assume(*made.Arn, 900)
	if err != nil {
		t.Fatal(err)
	}
	_, err = assume("arn:aws:iam::000000000000:role/other", 900)
	wantError(t, err, 403, "AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::000000000000:role/other")
	_, err = assume("arn:aws:iam::111111111111:role/deploy", 900)
	wantError(t, err, 403, "AccessDenied", "")
	_, err = assume(*made.Arn, 3601)
	wantError(t, err, 400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	_, err = assume(*made.Arn, 899)
	wantError(t, err, 400, "ValidationError", "900")
	_, err = assume("arn:aws:iam::nonsense", 900)
	wantError(t, err, 400, "ValidationError", "is not a role's ARN")

	c := out.Credentials
	f.connect(credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken), region)
	me, err := f.sts.GetCallerIdentity(t.Context(), &sdksts.GetCallerIdentityInput{})
	if err != nil || *me.Arn != "arn:aws:sts::000000000000:assumed-role/deploy/ci" || *me.UserId != *made.RoleId+":ci" || *me.Arn != *out.AssumedRoleUser.Arn {
		t.Errorf("got %+v, %v", me, err)
	}
	f.connect(credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, ""), region)
	_, err = f.sts.GetCallerIdentity(t.Context(), &sdksts.GetCallerIdentityInput{})
	wantError(t, err, 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
}

func TestRolesAreKeptAsTheyCame(t *testing.T) {
	f := start(t)
	made := f.createRole(t, "R-1")
	if *made.Arn != "arn:aws:iam::000000000000:role/R-1" || len(*made.RoleId) != 21 || *made.MaxSessionDuration != 3600 {
		t.Errorf("made %+v", made)
	}
	name := sdk.String("r-1") // names don't differ by case
	_, err := f.iam.CreateRole(t.Context(), &sdkiam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: sdk.String(trust)})
	wantError(t, err, 409, "EntityAlreadyExists", "Role with name r-1 already exists.")
	policy := sdk.String("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	for what, err := range map[string]error{
		"attach": second(f.iam.AttachRolePolicy(t.Context(), &sdkiam.AttachRolePolicyInput{RoleName: name, PolicyArn: policy})),
		"put":    second(f.iam.PutRolePolicy(t.Context(), &sdkiam.PutRolePolicyInput{RoleName: name, PolicyName: sdk.String("p"), PolicyDocument: sdk.String(trust)})),
		"tag":    second(f.iam.TagRole(t.Context(), &sdkiam.TagRoleInput{RoleName: name, Tags: []iamtypes.Tag{{Key: sdk.String("a"), Value: sdk.String("b")}}})),
		"update": second(f.iam.UpdateRole(t.Context(), &sdkiam.UpdateRoleInput{RoleName: name, Description: sdk.String("d")})),
		"trust":  second(f.iam.UpdateAssumeRolePolicy(t.Context(), &sdkiam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: sdk.String(`{"Statement":[]}`)})),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	got, err := f.iam.GetRole(t.Context(), &sdkiam.GetRoleInput{RoleName: name})
	if err != nil {
		t.Fatal(err)
	}
	document, err := url.PathUnescape(*got.Role.AssumeRolePolicyDocument)
	if err != nil || document != `{"Statement":[]}` || *got.Role.Description != "d" || *got.Role.Tags[0].Value != "b" || *got.Role.RoleId != *made.RoleId {
		t.Errorf("got %+v with %s, %v", got.Role, document, err)
	}
	inline, err := f.iam.GetRolePolicy(t.Context(), &sdkiam.GetRolePolicyInput{RoleName: name, PolicyName: sdk.String("p")})
	if err != nil || !strings.Contains(*inline.PolicyDocument, "lambda.amazonaws.com") {
		t.Errorf("inline %+v, %v", inline, err)
	}
	attached, err := f.iam.ListAttachedRolePolicies(t.Context(), &sdkiam.ListAttachedRolePoliciesInput{RoleName: name})
	if err != nil || *attached.AttachedPolicies[0].PolicyName != "AWSLambdaBasicExecutionRole" {
		t.Errorf("attached %+v, %v", attached, err)
	}
	profiles, err := f.iam.ListInstanceProfilesForRole(t.Context(), &sdkiam.ListInstanceProfilesForRoleInput{RoleName: name})
	if err != nil || len(profiles.InstanceProfiles) != 0 {
		t.Errorf("profiles %+v, %v", profiles, err)
	}
	_, err = f.iam.DeleteRole(t.Context(), &sdkiam.DeleteRoleInput{RoleName: name})
	wantError(t, err, 409, "DeleteConflict", "must detach all policies first")
	if err := second(f.iam.DetachRolePolicy(t.Context(), &sdkiam.DetachRolePolicyInput{RoleName: name, PolicyArn: policy})); err != nil {
		t.Error(err)
	}
	_, err = f.iam.DeleteRole(t.Context(), &sdkiam.DeleteRoleInput{RoleName: name})
	wantError(t, err, 409, "DeleteConflict", "must delete policies first")
	if err := second(f.iam.DeleteRolePolicy(t.Context(), &sdkiam.DeleteRolePolicyInput{RoleName: name, PolicyName: sdk.String("p")})); err != nil {
		t.Error(err)
	}
	if err := second(f.iam.UntagRole(t.Context(), &sdkiam.UntagRoleInput{RoleName: name, TagKeys: []string{"a"}})); err != nil {
		t.Error(err)
	}
	tags, err := f.iam.ListRoleTags(t.Context(), &sdkiam.ListRoleTagsInput{RoleName: name})
	if err != nil || len(tags.Tags) != 0 {
		t.Errorf("tags %+v, %v", tags, err)
	}
	if err := second(f.iam.DeleteRole(t.Context(), &sdkiam.DeleteRoleInput{RoleName: name})); err != nil {
		t.Error(err)
	}
	_, err = f.iam.GetRole(t.Context(), &sdkiam.GetRoleInput{RoleName: name})
	wantError(t, err, 404, "NoSuchEntity", "The role with name r-1 cannot be found.")
}

func second[T any](_ T, err error) error { return err }

func TestRolesAreListedInPages(t *testing.T) {
	f := start(t)
	for i := range 5 {
		f.createRole(t, fmt.Sprintf("role%d", i))
	}
	count := 0
	pages := sdkiam.NewListRolesPaginator(f.iam, &sdkiam.ListRolesInput{MaxItems: sdk.Int32(2)})
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count += len(p.Roles)
	}
	if count != 5 {
		t.Errorf("listed %d roles, want 5", count)
	}
}

func TestRolesThatAreRefused(t *testing.T) {
	f := start(t)
	for name, c := range map[string]struct {
		in            sdkiam.CreateRoleInput
		status        int
		code, message string
	}{
		"bad name":      {sdkiam.CreateRoleInput{RoleName: sdk.String("a b"), AssumeRolePolicyDocument: sdk.String(trust)}, 400, "ValidationError", "roleName"},
		"not JSON":      {sdkiam.CreateRoleInput{RoleName: sdk.String("a"), AssumeRolePolicyDocument: sdk.String("x")}, 400, "MalformedPolicyDocument", "Syntax errors in policy."},
		"no statement":  {sdkiam.CreateRoleInput{RoleName: sdk.String("a"), AssumeRolePolicyDocument: sdk.String("{}")}, 400, "MalformedPolicyDocument", ""},
		"long trust":    {sdkiam.CreateRoleInput{RoleName: sdk.String("a"), AssumeRolePolicyDocument: sdk.String(strings.Repeat(" ", 5000))}, 409, "LimitExceeded", "ACLSizePerRole"},
		"bad path":      {sdkiam.CreateRoleInput{RoleName: sdk.String("a"), Path: sdk.String("x"), AssumeRolePolicyDocument: sdk.String(trust)}, 400, "ValidationError", "path"},
		"short session": {sdkiam.CreateRoleInput{RoleName: sdk.String("a"), MaxSessionDuration: sdk.Int32(1), AssumeRolePolicyDocument: sdk.String(trust)}, 400, "ValidationError", "MaxSessionDuration"},
		"boundary":      {sdkiam.CreateRoleInput{RoleName: sdk.String("a"), PermissionsBoundary: sdk.String("arn:aws:iam::aws:policy/x"), AssumeRolePolicyDocument: sdk.String(trust)}, 501, "NotImplementedException", "PermissionsBoundary"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.iam.CreateRole(t.Context(), &c.in)
			wantError(t, err, c.status, c.code, c.message)
		})
	}
}
