package compat_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

const settle = 30 * time.Second

func config() sdk.Config {
	return sdk.Config{
		Region: node.Region, BaseEndpoint: &node.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(node.AccessKeyID, node.SecretAccessKey, ""),
	}
}

func client() *lambda.Client { return lambda.NewFromConfig(config()) }

// create makes a function and waits until it is active, as tools do.
func create(t *testing.T, name string, change func(*lambda.CreateFunctionInput)) {
	t.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: &name, Role: sdk.String(role), Runtime: types.RuntimeNodejs18x, Handler: sdk.String("index.handler"),
		Code: &types.FunctionCode{ZipFile: zipped(t, "index.js", source)}, Timeout: sdk.Int32(10),
	}
	if change != nil {
		change(in)
	}
	c := client()
	if _, err := c.CreateFunction(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(c, quickActive).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, settle); err != nil {
		t.Fatal(err)
	}
}

func quickActive(o *lambda.FunctionActiveV2WaiterOptions)   { o.MinDelay = 10 * time.Millisecond }
func quickUpdated(o *lambda.FunctionUpdatedV2WaiterOptions) { o.MinDelay = 10 * time.Millisecond }

func updated(t *testing.T, name string) {
	t.Helper()
	err := lambda.NewFunctionUpdatedV2Waiter(client(), quickUpdated).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, settle)
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Errorf("got %v, want %s with %q", err, code, message)
	}
}

// answer is what the function in source returns.
type answer struct {
	Event    json.RawMessage
	Client   json.RawMessage
	Variable *string
}

func invoke(t *testing.T, in *lambda.InvokeInput) (answer, *lambda.InvokeOutput) {
	t.Helper()
	out, err := client().Invoke(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if out.FunctionError == nil {
		if err := json.Unmarshal(out.Payload, &a); err != nil {
			t.Fatalf("%v: %s", err, out.Payload)
		}
	}
	return a, out
}

func TestGoSDKDeploysInvokesUpdatesAndDeletes(t *testing.T) {
	c, function := client(), name(t)
	create(t, function, func(in *lambda.CreateFunctionInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"VARIABLE": "one"}}
	})
	got, out := invoke(t, &lambda.InvokeInput{
		FunctionName: &function, Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail,
		ClientContext: sdk.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":{"k":"v"}}`))),
	})
	tail, err := base64.StdEncoding.DecodeString(*out.LogResult)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Event) != `{"a":1}` || *got.Variable != "one" || !strings.Contains(string(got.Client), `"k":"v"`) || *out.ExecutedVersion != "$LATEST" {
		t.Errorf("got %s %s, version %s", got.Event, got.Client, *out.ExecutedVersion)
	}
	if !strings.Contains(string(tail), "START RequestId: ") || !strings.Contains(string(tail), `got {"a":1}`) || !strings.Contains(string(tail), "REPORT RequestId: ") {
		t.Errorf("log tail %q", tail)
	}

	if _, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &function, MemorySize: sdk.Int32(256), Environment: &types.Environment{Variables: map[string]string{"VARIABLE": "two"}},
	}); err != nil {
		t.Fatal(err)
	}
	updated(t, function)
	if got, _ := invoke(t, &lambda.InvokeInput{FunctionName: &function}); string(got.Event) != "{}" || *got.Variable != "two" {
		t.Errorf("after the update got %s and %s", got.Event, *got.Variable)
	}
	if _, err := c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: &function, ZipFile: zipped(t, "index.js", `exports.handler = async () => ({ event: "new code" })`),
	}); err != nil {
		t.Fatal(err)
	}
	updated(t, function)
	if got, _ := invoke(t, &lambda.InvokeInput{FunctionName: &function}); string(got.Event) != `"new code"` {
		t.Errorf("after the new code got %s", got.Event)
	}
	if _, err := c.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &function}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function})
	wantCode(t, err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:"+node.Region+":"+account+":function:"+function+":$LATEST")
}

func TestGoSDKSeesFunctionErrorsAsResults(t *testing.T) {
	function := name(t)
	create(t, function, nil)
	_, out := invoke(t, &lambda.InvokeInput{FunctionName: &function, Payload: []byte(`{"fail":true}`)})
	var failure struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(out.Payload, &failure); err != nil {
		t.Fatal(err)
	}
	if out.StatusCode != http.StatusOK || out.FunctionError == nil || *out.FunctionError != "Unhandled" || failure.ErrorType != "TypeError" || failure.ErrorMessage != "told to fail" {
		t.Errorf("got %+v with %+v", out, failure)
	}
}

func TestGoSDKRefusals(t *testing.T) {
	c, function := client(), name(t)
	create(t, function, nil)
	in := &lambda.CreateFunctionInput{
		FunctionName: sdk.String(function + "-2"), Role: sdk.String(role), Runtime: types.RuntimeNodejs18x, Handler: sdk.String("index.handler"),
	}
	for what, zip := range map[string][]byte{"garbage": []byte("hello"), "truncated": zipped(t, "index.js", source)[:100]} {
		in.Code = &types.FunctionCode{ZipFile: zip}
		_, err := c.CreateFunction(t.Context(), in)
		t.Log(what)
		wantCode(t, err, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	in.Code = &types.FunctionCode{ZipFile: zipped(t, "../index.js", source)}
	_, err := c.CreateFunction(t.Context(), in)
	wantCode(t, err, "InvalidParameterValueException", "../index.js")
	_, err = c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function, Payload: []byte("{")})
	wantCode(t, err, "InvalidRequestContentException", "Could not parse request body into json")
	_, err = c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function, Payload: []byte(`"` + strings.Repeat("x", 6<<20) + `"`)})
	wantCode(t, err, "RequestTooLargeException", "6291456")
	_, err = c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &function, RevisionId: sdk.String("stale")})
	wantCode(t, err, "PreconditionFailedException", "The Revision Id provided does not match")
	_, err = c.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &function})
	wantCode(t, err, "NotImplementedException", "PublishVersion is not supported by mayfly yet.")
	cfg := config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(node.AccessKeyID, "wrong", "")
	_, err = lambda.NewFromConfig(cfg).ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	wantCode(t, err, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
}

func TestGoSDKFunctionsWithoutConcurrencyAreThrottled(t *testing.T) {
	c, function := client(), name(t)
	create(t, function, nil)
	if _, err := c.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: &function, ReservedConcurrentExecutions: sdk.Int32(0)}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function}, once)
	if !throttledFor(err, types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded) {
		t.Errorf("got %v, want a throttle for reserved concurrency", err)
	}
	if _, err := c.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: &function}); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetFunctionConcurrency(t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: &function})
	if err != nil || got.ReservedConcurrentExecutions != nil {
		t.Errorf("after it was lifted: %+v, %v", got, err)
	}
	invoke(t, &lambda.InvokeInput{FunctionName: &function})
}

func TestGoSDKFunctionURLServes(t *testing.T) {
	c, function := client(), name(t)
	create(t, function, nil)
	made, err := c.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: &function, AuthType: types.FunctionUrlAuthTypeNone})
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(*made.FunctionUrl)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.Gateway+"/a/b?q=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = address.Host // so that the test needs no resolver that knows localhost's children
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"rawPath":"/a/b"`) {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if _, err := c.UpdateFunctionUrlConfig(t.Context(), &lambda.UpdateFunctionUrlConfigInput{FunctionName: &function, AuthType: types.FunctionUrlAuthTypeAwsIam}); err != nil {
		t.Error(err)
	}
	if got, err := c.GetFunctionUrlConfig(t.Context(), &lambda.GetFunctionUrlConfigInput{FunctionName: &function}); err != nil || got.AuthType != types.FunctionUrlAuthTypeAwsIam {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.ListFunctionUrlConfigs(t.Context(), &lambda.ListFunctionUrlConfigsInput{FunctionName: &function}); err != nil || len(got.FunctionUrlConfigs) != 1 {
		t.Errorf("listed %+v, %v", got, err)
	}
	if _, err := c.DeleteFunctionUrlConfig(t.Context(), &lambda.DeleteFunctionUrlConfigInput{FunctionName: &function}); err != nil {
		t.Error(err)
	}
}

func TestGoSDKReadsWhatTerraformReads(t *testing.T) {
	c, function := client(), name(t)
	create(t, function, func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"team": "blue"} })
	got, err := c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: &function})
	if err != nil {
		t.Fatal(err)
	}
	if got.Configuration.LastUpdateStatus != types.LastUpdateStatusSuccessful || got.Tags["team"] != "blue" {
		t.Errorf("got %+v", got.Configuration)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, *got.Code.Location, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	code, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if string(code) != string(zipped(t, "index.js", source)) {
		t.Errorf("downloaded %d bytes with status %d, not the uploaded package", len(code), res.StatusCode)
	}
	versions, err := c.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: &function})
	if err != nil || len(versions.Versions) != 1 {
		t.Errorf("versions %+v, %v", versions, err)
	}
	signing, err := c.GetFunctionCodeSigningConfig(t.Context(), &lambda.GetFunctionCodeSigningConfigInput{FunctionName: &function})
	if err != nil || *signing.CodeSigningConfigArn != "" {
		t.Errorf("code signing %+v, %v", signing, err)
	}
	configuration, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: got.Configuration.FunctionArn})
	if err != nil || *configuration.RevisionId != *got.Configuration.RevisionId {
		t.Errorf("configuration %+v, %v", configuration, err)
	}
	settings, err := c.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	if err != nil || settings.AccountLimit.ConcurrentExecutions == 0 || settings.AccountUsage.FunctionCount == 0 {
		t.Errorf("account settings %+v, %v", settings, err)
	}
	resource := got.Configuration.FunctionArn
	if _, err := c.TagResource(t.Context(), &lambda.TagResourceInput{Resource: resource, Tags: map[string]string{"a": "b"}}); err != nil {
		t.Error(err)
	}
	if _, err := c.UntagResource(t.Context(), &lambda.UntagResourceInput{Resource: resource, TagKeys: []string{"team"}}); err != nil {
		t.Error(err)
	}
	if tags, err := c.ListTags(t.Context(), &lambda.ListTagsInput{Resource: resource}); err != nil || len(tags.Tags) != 1 || tags.Tags["a"] != "b" {
		t.Errorf("tags %+v, %v", tags, err)
	}
}

func TestGoSDKListsInPages(t *testing.T) {
	for i := range 3 {
		create(t, fmt.Sprintf("%s-%d", name(t), i), nil)
	}
	found := 0
	pages := lambda.NewListFunctionsPaginator(client(), &lambda.ListFunctionsInput{MaxItems: sdk.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Functions {
			if strings.HasPrefix(*f.FunctionName, name(t)) {
				found++
			}
		}
	}
	if found != 3 {
		t.Errorf("found %d functions, want 3", found)
	}
}

func TestGoSDKRolesAndIdentity(t *testing.T) {
	roles, who := iam.NewFromConfig(config()), sts.NewFromConfig(config())
	roleName := sdk.String(name(t))
	made, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: roleName, AssumeRolePolicyDocument: sdk.String(`{"Version":"2012-10-17","Statement":[]}`)})
	if err != nil {
		t.Fatal(err)
	}
	me, err := who.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *me.Account != account {
		t.Fatalf("identity %+v, %v", me, err)
	}
	assumed, err := who.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: sdk.String("ci")})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config()
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*assumed.Credentials.AccessKeyId, *assumed.Credentials.SecretAccessKey, *assumed.Credentials.SessionToken)
	if _, err := lambda.NewFromConfig(cfg).ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); err != nil {
		t.Errorf("with the role's session: %v", err)
	}
	policy := sdk.String("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	if _, err := roles.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: roleName, PolicyArn: policy}); err != nil {
		t.Error(err)
	}
	if _, err := roles.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: roleName, PolicyArn: policy}); err != nil {
		t.Error(err)
	}
	if _, err := roles.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: roleName}); err != nil {
		t.Error(err)
	}
	_, err = roles.GetRole(t.Context(), &iam.GetRoleInput{RoleName: roleName})
	wantCode(t, err, "NoSuchEntity", "cannot be found")
}
