package aws_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func arn(suffix string) string {
	return "arn:aws:lambda:" + region + ":" + account + ":function:" + suffix
}

func newFunction(t *testing.T, name string) *sdklambda.CreateFunctionInput {
	t.Helper()
	return &sdklambda.CreateFunctionInput{
		FunctionName: &name, Role: sdk.String(role), Runtime: types.RuntimeNodejs22x, Handler: sdk.String("index.handler"),
		Code: &types.FunctionCode{ZipFile: zipped(t, "exports.handler = async () => 1")},
	}
}

func (f *front) create(t *testing.T, name string) *sdklambda.CreateFunctionOutput {
	t.Helper()
	out, err := f.lambda.CreateFunction(t.Context(), newFunction(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAFunctionsLifeInTheSDKsWords(t *testing.T) {
	f := start(t)
	f.catalog.manual = true
	in := newFunction(t, "hello")
	in.Environment = &types.Environment{Variables: map[string]string{"BB": "x"}}
	in.Tags = map[string]string{"team": "blue"}
	in.VpcConfig = &types.VpcConfig{SubnetIds: []string{}, SecurityGroupIds: []string{}}
	created, err := f.lambda.CreateFunction(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if created.State != types.StatePending || created.StateReasonCode != types.StateReasonCodeCreating ||
		*created.StateReason != "The function is being created." || created.LastUpdateStatus != "" {
		t.Errorf("after create: %s %s %q, update %q", created.State, created.StateReasonCode, *created.StateReason, created.LastUpdateStatus)
	}
	if *created.FunctionArn != arn("hello") || *created.Version != "$LATEST" || *created.MemorySize != 128 || *created.Timeout != 3 {
		t.Errorf("created %+v", created)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000+0000", *created.LastModified); err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(in.Code.ZipFile)
	if want := base64.StdEncoding.EncodeToString(sum[:]); *created.CodeSha256 != want {
		t.Errorf("CodeSha256 %s, want %s", *created.CodeSha256, want)
	}
	_, err = f.lambda.UpdateFunctionConfiguration(t.Context(), &sdklambda.UpdateFunctionConfigurationInput{FunctionName: in.FunctionName})
	wantError(t, err, 409, "ResourceConflictException", "The function is currently in the following state: Pending")
	f.catalog.settle("hello")

	updated, err := f.lambda.UpdateFunctionConfiguration(t.Context(), &sdklambda.UpdateFunctionConfigurationInput{
		FunctionName: in.FunctionName, MemorySize: sdk.Int32(512), RevisionId: created.RevisionId,
	})
	if err != nil {
		t.Fatal(err)
	}
	if updated.LastUpdateStatus != types.LastUpdateStatusInProgress || *updated.MemorySize != 512 || updated.Environment.Variables["BB"] != "x" {
		t.Errorf("updated %+v", updated)
	}
	_, err = f.lambda.UpdateFunctionCode(t.Context(), &sdklambda.UpdateFunctionCodeInput{FunctionName: in.FunctionName, ZipFile: in.Code.ZipFile})
	wantError(t, err, 409, "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress for resource: "+arn("hello"))
	f.catalog.settle("hello")
	_, err = f.lambda.UpdateFunctionCode(t.Context(), &sdklambda.UpdateFunctionCodeInput{FunctionName: in.FunctionName, ZipFile: in.Code.ZipFile, RevisionId: created.RevisionId})
	wantError(t, err, 412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id.")

	got, err := f.lambda.GetFunction(t.Context(), &sdklambda.GetFunctionInput{FunctionName: sdk.String(arn("hello:$LATEST"))})
	if err != nil {
		t.Fatal(err)
	}
	if got.Configuration.LastUpdateStatus != types.LastUpdateStatusSuccessful || got.Configuration.State != types.StateActive ||
		*got.Configuration.FunctionArn != arn("hello:$LATEST") || got.Tags["team"] != "blue" {
		t.Errorf("got %+v, tags %v", got.Configuration, got.Tags)
	}
	if diff := cmp.Diff(in.Code.ZipFile, download(t, *got.Code.Location, http.StatusOK)); diff != "" {
		t.Errorf("the downloaded code differs:\n%s", diff)
	}
	download(t, strings.Replace(*got.Code.Location, "Expires=", "Expires=9", 1), http.StatusForbidden)
	download(t, strings.Replace(*got.Code.Location, "/_code/", "/_code/x", 1), http.StatusNotFound)

	cleared, err := f.lambda.UpdateFunctionConfiguration(t.Context(), &sdklambda.UpdateFunctionConfigurationInput{
		FunctionName: in.FunctionName, Environment: &types.Environment{},
	})
	if err != nil || cleared.Environment != nil || *cleared.MemorySize != 512 {
		t.Errorf("after clearing the environment: %+v, %v", cleared, err)
	}
	if _, err := f.lambda.DeleteFunction(t.Context(), &sdklambda.DeleteFunctionInput{FunctionName: in.FunctionName}); err != nil {
		t.Fatal(err)
	}
	_, err = f.lambda.GetFunction(t.Context(), &sdklambda.GetFunctionInput{FunctionName: in.FunctionName})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: "+arn("hello"))
}

func download(t *testing.T, link string, status int) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res := do(t, r)
	if res.status != status {
		t.Errorf("%s: got %d, want %d", link, res.status, status)
	}
	return []byte(res.body)
}

func TestDryRunOfCodeChangesNothing(t *testing.T) {
	f := start(t)
	before := f.create(t, "f")
	out, err := f.lambda.UpdateFunctionCode(t.Context(), &sdklambda.UpdateFunctionCodeInput{
		FunctionName: sdk.String("f"), ZipFile: zipped(t, "other"), DryRun: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.lambda.GetFunctionConfiguration(t.Context(), &sdklambda.GetFunctionConfigurationInput{FunctionName: sdk.String("f")})
	if err != nil {
		t.Fatal(err)
	}
	if *out.CodeSha256 == *before.CodeSha256 || *got.CodeSha256 != *before.CodeSha256 || *got.RevisionId != *before.RevisionId {
		t.Errorf("dry run says %s, before %s, after %s", *out.CodeSha256, *before.CodeSha256, *got.CodeSha256)
	}
}

func TestCreateFunctionRefusesInAWSWords(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*sdklambda.CreateFunctionInput)
		status  int
		code    string
		message string
	}{
		"duplicate":      {func(in *sdklambda.CreateFunctionInput) { in.FunctionName = sdk.String("taken") }, 409, "ResourceConflictException", "Function already exist: taken"},
		"bad name":       {func(in *sdklambda.CreateFunctionInput) { in.FunctionName = sdk.String("a b") }, 400, "ValidationException", "1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:"},
		"long name":      {func(in *sdklambda.CreateFunctionInput) { in.FunctionName = sdk.String(strings.Repeat("a", 65)) }, 400, "InvalidParameterValueException", "Member must have length less than or equal to 64"},
		"very long name": {func(in *sdklambda.CreateFunctionInput) { in.FunctionName = sdk.String(strings.Repeat("a", 141)) }, 400, "ValidationException", "Member must have length less than or equal to 140"},
		"other region": {func(in *sdklambda.CreateFunctionInput) {
			in.FunctionName = sdk.String("arn:aws:lambda:eu-west-1:000000000000:function:f")
		}, 404, "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"},
		"other account": {func(in *sdklambda.CreateFunctionInput) {
			in.FunctionName = sdk.String("arn:aws:lambda:us-east-1:111111111111:function:f")
		}, 403, "AccessDeniedException", "not authorized"},
		"bad role":             {func(in *sdklambda.CreateFunctionInput) { in.Role = sdk.String("r") }, 400, "ValidationException", "Value 'r' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:"},
		"unknown runtime":      {func(in *sdklambda.CreateFunctionInput) { in.Runtime = "cobol85" }, 400, "InvalidParameterValueException", "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["},
		"retired runtime":      {func(in *sdklambda.CreateFunctionInput) { in.Runtime = types.RuntimeGo1x }, 400, "InvalidParameterValueException", "The runtime parameter of go1.x is no longer supported for creating or updating AWS Lambda functions."},
		"runtime not here":     {func(in *sdklambda.CreateFunctionInput) { in.Runtime = types.RuntimeJava21 }, 400, "InvalidParameterValueException", "install openjdk"},
		"no handler":           {func(in *sdklambda.CreateFunctionInput) { in.Handler = nil }, 400, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"},
		"not a zip":            {func(in *sdklambda.CreateFunctionInput) { in.Code.ZipFile = []byte("hello") }, 400, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again."},
		"no code":              {func(in *sdklambda.CreateFunctionInput) { in.Code.ZipFile = nil }, 400, "InvalidParameterValueException", "Please provide a source for function code."},
		"small memory, time 0": {func(in *sdklambda.CreateFunctionInput) { in.MemorySize, in.Timeout = sdk.Int32(64), sdk.Int32(0) }, 400, "ValidationException", "2 validation errors detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1; Value '64' at 'memorySize'"},
		"two architectures":    {func(in *sdklambda.CreateFunctionInput) { in.Architectures = []types.Architecture{"x86_64", "arm64"} }, 400, "ValidationException", "at 'architectures'"},
		"upper architecture":   {func(in *sdklambda.CreateFunctionInput) { in.Architectures = []types.Architecture{"X86_64"} }, 400, "ValidationException", "Member must satisfy enum value set: [x86_64, arm64]"},
		"reserved variable": {func(in *sdklambda.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"AWS_REGION": "x"}}
		}, 400, "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION"},
		"large environment": {func(in *sdklambda.CreateFunctionInput) {
			in.Environment = &types.Environment{Variables: map[string]string{"AA": strings.Repeat("x", 4096)}}
		}, 400, "InvalidParameterValueException", "exceeded the 4KB limit. String measured: {"},
		"51 tags": {func(in *sdklambda.CreateFunctionInput) {
			in.Tags = map[string]string{}
			for i := range 51 {
				in.Tags[strconv.Itoa(i)] = ""
			}
		}, 400, "InvalidParameterValueException", "Number of tags exceeds resource tag limit."},
		"layers": {func(in *sdklambda.CreateFunctionInput) {
			in.Layers = []string{"arn:aws:lambda:us-east-1:000000000000:layer:l:1"}
		}, 400, "InvalidParameterValueException", "Layers is not supported by mayfly yet."},
		"vpc": {func(in *sdklambda.CreateFunctionInput) {
			in.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-1"}}
		}, 400, "InvalidParameterValueException", "VpcConfig is not supported"},
		"from s3": {func(in *sdklambda.CreateFunctionInput) {
			in.Code = &types.FunctionCode{S3Bucket: sdk.String("bucket"), S3Key: sdk.String("k")}
		}, 400, "InvalidParameterValueException", "S3Bucket is not supported"},
		"image":   {func(in *sdklambda.CreateFunctionInput) { in.PackageType = types.PackageTypeImage }, 400, "InvalidParameterValueException", "PackageType Image is not supported"},
		"publish": {func(in *sdklambda.CreateFunctionInput) { in.Publish = true }, 400, "InvalidParameterValueException", "Publish is not supported"},
		"dead letter": {func(in *sdklambda.CreateFunctionInput) {
			in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: sdk.String("arn:aws:sqs:::q")}
		}, 400, "InvalidParameterValueException", "DeadLetterConfig is not supported"},
		"snap start": {func(in *sdklambda.CreateFunctionInput) {
			in.SnapStart = &types.SnapStart{ApplyOn: types.SnapStartApplyOnPublishedVersions}
		}, 400, "InvalidParameterValueException", "SnapStart is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.create(t, "taken")
			in := newFunction(t, "new")
			c.change(in)
			_, err := f.lambda.CreateFunction(t.Context(), in)
			wantError(t, err, c.status, c.code, c.message)
		})
	}
}

func TestReferencesAndQualifiers(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	for _, name := range []string{"f", "f:$LATEST", "function:f", "000000000000:function:f", arn("f"), arn("f:$LATEST")} {
		if _, err := f.lambda.GetFunction(t.Context(), &sdklambda.GetFunctionInput{FunctionName: &name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := f.lambda.GetFunction(t.Context(), &sdklambda.GetFunctionInput{FunctionName: sdk.String(arn("f:$LATEST")), Qualifier: sdk.String("1")})
	wantError(t, err, 400, "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier.")
	_, err = f.lambda.GetFunction(t.Context(), &sdklambda.GetFunctionInput{FunctionName: sdk.String("f"), Qualifier: sdk.String("1221")})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: "+arn("f:1221"))
	_, err = f.lambda.DeleteFunction(t.Context(), &sdklambda.DeleteFunctionInput{FunctionName: sdk.String("f"), Qualifier: sdk.String("$LATEST")})
	wantError(t, err, 400, "InvalidParameterValueException", "$LATEST version cannot be deleted without deleting the function.")
	if _, err = f.lambda.DeleteFunction(t.Context(), &sdklambda.DeleteFunctionInput{FunctionName: sdk.String("f"), Qualifier: sdk.String("7")}); err != nil {
		t.Errorf("deleting a version that is not there: %v", err)
	}
	_, err = f.lambda.DeleteFunction(t.Context(), &sdklambda.DeleteFunctionInput{FunctionName: sdk.String("g"), Qualifier: sdk.String("7")})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: "+arn("g"))
}

func TestListsArePaged(t *testing.T) {
	f := start(t)
	for _, name := range []string{"c", "a", "b"} {
		f.create(t, name)
	}
	var names []string
	pages := sdklambda.NewListFunctionsPaginator(f.lambda, &sdklambda.ListFunctionsInput{MaxItems: sdk.Int32(2)})
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range p.Functions {
			names = append(names, *got.FunctionName)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Error(diff)
	}
	_, err := f.lambda.ListFunctions(t.Context(), &sdklambda.ListFunctionsInput{Marker: sdk.String("forged")})
	wantError(t, err, 400, "InvalidParameterValueException", "Invalid Marker")
	_, err = f.lambda.ListFunctions(t.Context(), &sdklambda.ListFunctionsInput{MaxItems: sdk.Int32(0)})
	wantError(t, err, 400, "ValidationException", "at 'maxItems'")
	versions, err := f.lambda.ListVersionsByFunction(t.Context(), &sdklambda.ListVersionsByFunctionInput{FunctionName: sdk.String("a")})
	if err != nil || len(versions.Versions) != 1 || *versions.Versions[0].FunctionArn != arn("a:$LATEST") {
		t.Errorf("versions %+v, %v", versions, err)
	}
	signing, err := f.lambda.GetFunctionCodeSigningConfig(t.Context(), &sdklambda.GetFunctionCodeSigningConfigInput{FunctionName: sdk.String("a")})
	if err != nil || *signing.CodeSigningConfigArn != "" {
		t.Errorf("code signing %+v, %v", signing, err)
	}
}

func TestInvokeCarriesHeadersBothWays(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	out, err := f.lambda.Invoke(t.Context(), &sdklambda.InvokeInput{
		FunctionName: sdk.String("f"), Payload: []byte(`{"a": 1}`), LogType: types.LogTypeTail,
		ClientContext: sdk.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":{}}`))),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := f.invoker.got
	if string(got.Payload) != `{"a": 1}` || string(got.ClientContext) != `{"custom":{}}` || !got.WantLogTail || got.ARN != arn("f") || got.Trigger != "api" || !strings.HasPrefix(got.TraceID, "Root=1-") {
		t.Errorf("dispatched %+v", got)
	}
	if out.StatusCode != http.StatusOK || string(out.Payload) != `{"a": 1}` || *out.ExecutedVersion != "$LATEST" || *out.LogResult != base64.StdEncoding.EncodeToString([]byte("END\n")) || out.FunctionError != nil {
		t.Errorf("reply %+v", out)
	}
	if _, err := f.lambda.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: sdk.String("f")}); err != nil || string(f.invoker.got.Payload) != "{}" {
		t.Errorf("an empty payload arrived as %q, %v", f.invoker.got.Payload, err)
	}
	dry, err := f.lambda.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: sdk.String("f"), InvocationType: types.InvocationTypeDryRun})
	if err != nil || dry.StatusCode != http.StatusNoContent {
		t.Errorf("dry run %+v, %v", dry, err)
	}
	f.invoker.result = invocation.Failed("TypeError", "broken")
	out, err = f.lambda.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: sdk.String("f")})
	if err != nil || out.StatusCode != http.StatusOK || *out.FunctionError != "Unhandled" || !strings.Contains(string(out.Payload), "broken") {
		t.Errorf("a failed function: %+v, %v", out, err)
	}
}

func TestInvokeRefusals(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	for name, c := range map[string]struct {
		in      sdklambda.InvokeInput
		err     error // of dispatch
		status  int
		code    string
		message string
	}{
		"unknown function":   {sdklambda.InvokeInput{FunctionName: sdk.String("nope")}, nil, 404, "ResourceNotFoundException", "Function not found: " + arn("nope:$LATEST")},
		"not JSON":           {sdklambda.InvokeInput{Payload: []byte("{")}, nil, 400, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: "},
		"not UTF-8":          {sdklambda.InvokeInput{Payload: []byte("\"\xff\"")}, nil, 400, "InvalidRequestContentException", "Could not parse request body into json"},
		"event":              {sdklambda.InvokeInput{InvocationType: types.InvocationTypeEvent}, nil, 400, "InvalidParameterValueException", "The invocation type Event is not supported by mayfly yet."},
		"odd type":           {sdklambda.InvokeInput{InvocationType: "Later"}, nil, 400, "ValidationException", "at 'invocationType' failed to satisfy constraint"},
		"odd client context": {sdklambda.InvokeInput{ClientContext: sdk.String("{}")}, nil, 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		"big client context": {sdklambda.InvokeInput{ClientContext: sdk.String(base64.StdEncoding.EncodeToString([]byte(`"` + strings.Repeat("x", 3600) + `"`)))}, nil, 400, "InvalidRequestContentException", "3583"},
		"too large":          {sdklambda.InvokeInput{Payload: []byte(`"` + strings.Repeat("x", 6<<20) + `"`)}, nil, 413, "RequestTooLargeException", "6291458 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"},
		"deleted meanwhile":  {sdklambda.InvokeInput{}, fault.New(fault.NotFound, "FunctionNotFound", "gone"), 404, "ResourceNotFoundException", arn("f:$LATEST")},
		"pending":            {sdklambda.InvokeInput{}, fault.New(fault.Conflict, "FunctionPending", "pending"), 409, "ResourceConflictException", "Pending"},
		"internal":           {sdklambda.InvokeInput{}, io.ErrUnexpectedEOF, 500, "ServiceException", "An error occurred"},
	} {
		t.Run(name, func(t *testing.T) {
			f.invoker.err = c.err
			if c.in.FunctionName == nil {
				c.in.FunctionName = sdk.String("f")
			}
			_, err := f.lambda.Invoke(t.Context(), &c.in, once)
			wantError(t, err, c.status, c.code, c.message)
		})
	}
}

// once keeps the SDK from repeating a call.
func once(o *sdklambda.Options) { o.Retryer = sdk.NopRetryer{} }

func TestThrottlesSayWhyAndWhenToComeBack(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	for reason, want := range map[string]types.ThrottleReason{
		"ReservedConcurrency": types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded,
		"NodeConcurrency":     types.ThrottleReasonConcurrentInvocationLimitExceeded,
	} {
		f.invoker.err = &fault.Error{Kind: fault.Throttled, Reason: reason, Detail: "busy", RetryAfter: 1200 * time.Millisecond}
		_, err := f.lambda.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: sdk.String("f")}, once)
		wantError(t, err, 429, "TooManyRequestsException", "Rate Exceeded.")
		throttled, ok := errorAs[*types.TooManyRequestsException](err)
		if !ok || throttled.Reason != want || *throttled.RetryAfterSeconds != "2" || *throttled.Type != "User" {
			t.Errorf("%s: got %+v", reason, throttled)
		}
	}
}

func TestAnInvocationDoesNotWaitAtTheReservedConcurrency(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	if _, err := f.lambda.Invoke(t.Context(), &sdklambda.InvokeInput{FunctionName: sdk.String("f")}); err != nil {
		t.Fatal(err)
	}
	if !f.invoker.got.FailFast {
		t.Error("the call was to wait, want it refused at once")
	}
}

func TestScalingBoundsTheEnvironments(t *testing.T) {
	f := start(t)
	f.catalog.manual = true
	f.create(t, "f")
	f.catalog.settle("f")
	name, qualifier := sdk.String("f"), sdk.String("$LATEST.PUBLISHED")
	get := func() *sdklambda.GetFunctionScalingConfigOutput {
		t.Helper()
		got, err := f.lambda.GetFunctionScalingConfig(t.Context(), &sdklambda.GetFunctionScalingConfigInput{FunctionName: name, Qualifier: qualifier})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	put := func(least, most int32) error {
		_, err := f.lambda.PutFunctionScalingConfig(t.Context(), &sdklambda.PutFunctionScalingConfigInput{
			FunctionName: name, Qualifier: qualifier,
			FunctionScalingConfig: &types.FunctionScalingConfig{MinExecutionEnvironments: &least, MaxExecutionEnvironments: &most},
		})
		return err
	}
	if got := get(); got.AppliedFunctionScalingConfig != nil || *got.FunctionArn != arn("f:$LATEST.PUBLISHED") {
		t.Errorf("before: %+v", got)
	}
	if err := put(2, 9); err != nil {
		t.Fatal(err)
	}
	if got := get(); got.AppliedFunctionScalingConfig != nil || *got.RequestedFunctionScalingConfig.MaxExecutionEnvironments != 9 {
		t.Errorf("while the update is prepared: %+v", got)
	}
	f.catalog.settle("f")
	if got := get().AppliedFunctionScalingConfig; *got.MinExecutionEnvironments != 2 || *got.MaxExecutionEnvironments != 9 {
		t.Errorf("applied %+v, want 2 to 9", got)
	}
	wantError(t, put(2, 1), 400, "InvalidParameterValueException", "MinExecutionEnvironments must be less than or equal to MaxExecutionEnvironments.")
	wantError(t, put(-1, 1), 400, "ValidationException", "at 'functionScalingConfig.minExecutionEnvironments'")
	if _, err := f.lambda.PutFunctionScalingConfig(t.Context(), &sdklambda.PutFunctionScalingConfigInput{FunctionName: name, Qualifier: qualifier}); err != nil {
		t.Error(err)
	}
	f.catalog.settle("f")
	if got := get().AppliedFunctionScalingConfig; got != nil {
		t.Errorf("taken away: %+v", got)
	}
	qualifier = sdk.String("7")
	wantError(t, put(1, 2), 404, "ResourceNotFoundException", arn("f:7"))
	res := f.send(t, "lambda", http.MethodGet, "/2025-11-30/functions/f/function-scaling-config", "", nil)
	if res.status != http.StatusBadRequest || !strings.Contains(res.body, "Value null at 'qualifier'") {
		t.Errorf("without a qualifier: %d %s", res.status, res.body)
	}
}

func TestFunctionURLs(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	name := sdk.String("f")
	_, err := f.lambda.GetFunctionUrlConfig(t.Context(), &sdklambda.GetFunctionUrlConfigInput{FunctionName: name})
	wantError(t, err, 404, "ResourceNotFoundException", "The resource you requested does not exist.")
	_, err = f.lambda.CreateFunctionUrlConfig(t.Context(), &sdklambda.CreateFunctionUrlConfigInput{FunctionName: sdk.String("g"), AuthType: types.FunctionUrlAuthTypeNone})
	wantError(t, err, 404, "ResourceNotFoundException", "Function does not exist")
	made, err := f.lambda.CreateFunctionUrlConfig(t.Context(), &sdklambda.CreateFunctionUrlConfigInput{
		FunctionName: name, AuthType: types.FunctionUrlAuthTypeNone, Cors: &types.Cors{AllowOrigins: []string{"*"}, MaxAge: sdk.Int32(60)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(*made.FunctionUrl, ".lambda-url.us-east-1.localhost:8080/") || !strings.HasPrefix(*made.FunctionUrl, "http://") || made.InvokeMode != types.InvokeModeBuffered {
		t.Errorf("made %+v", made)
	}
	_, err = f.lambda.CreateFunctionUrlConfig(t.Context(), &sdklambda.CreateFunctionUrlConfigInput{FunctionName: name, AuthType: types.FunctionUrlAuthTypeNone})
	wantError(t, err, 409, "ResourceConflictException", "Failed to create function url config for [functionArn = "+arn("f")+"]. Error message:  FunctionUrlConfig exists for this Lambda function")
	changed, err := f.lambda.UpdateFunctionUrlConfig(t.Context(), &sdklambda.UpdateFunctionUrlConfigInput{FunctionName: name, AuthType: types.FunctionUrlAuthTypeAwsIam})
	if err != nil || changed.AuthType != types.FunctionUrlAuthTypeAwsIam || *changed.Cors.MaxAge != 60 || *changed.FunctionUrl != *made.FunctionUrl {
		t.Errorf("changed %+v, %v", changed, err)
	}
	list, err := f.lambda.ListFunctionUrlConfigs(t.Context(), &sdklambda.ListFunctionUrlConfigsInput{FunctionName: name})
	if err != nil || len(list.FunctionUrlConfigs) != 1 {
		t.Errorf("listed %+v, %v", list, err)
	}
	_, err = f.lambda.UpdateFunctionUrlConfig(t.Context(), &sdklambda.UpdateFunctionUrlConfigInput{FunctionName: name, InvokeMode: types.InvokeModeResponseStream})
	wantError(t, err, 400, "InvalidParameterValueException", "InvokeMode RESPONSE_STREAM is not supported")
	_, err = f.lambda.GetFunctionUrlConfig(t.Context(), &sdklambda.GetFunctionUrlConfigInput{FunctionName: name, Qualifier: sdk.String("1")})
	wantError(t, err, 400, "ValidationException", `((?!^\d+$)^[0-9a-zA-Z-_]+$)`)
	_, err = f.lambda.UpdateFunctionUrlConfig(t.Context(), &sdklambda.UpdateFunctionUrlConfigInput{FunctionName: name, Cors: &types.Cors{AllowMethods: []string{"BREW"}, MaxAge: sdk.Int32(86401)}})
	wantError(t, err, 400, "ValidationException", "2 validation errors detected")
	if _, err := f.lambda.DeleteFunctionUrlConfig(t.Context(), &sdklambda.DeleteFunctionUrlConfigInput{FunctionName: name}); err != nil {
		t.Error(err)
	}
	_, err = f.lambda.DeleteFunctionUrlConfig(t.Context(), &sdklambda.DeleteFunctionUrlConfigInput{FunctionName: name})
	wantError(t, err, 404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

func TestConcurrencyTagsAndAccount(t *testing.T) {
	f := start(t)
	f.create(t, "f")
	name := sdk.String("f")
	put := func(ref string, n int32) error {
		_, err := f.lambda.PutFunctionConcurrency(t.Context(), &sdklambda.PutFunctionConcurrencyInput{FunctionName: &ref, ReservedConcurrentExecutions: &n})
		return err
	}
	if err := put("f", 0); err != nil {
		t.Error(err)
	}
	got, err := f.lambda.GetFunctionConcurrency(t.Context(), &sdklambda.GetFunctionConcurrencyInput{FunctionName: name})
	if err != nil || got.ReservedConcurrentExecutions == nil || *got.ReservedConcurrentExecutions != 0 {
		t.Errorf("reserved %+v, %v", got, err)
	}
	if err := put("f", 40); err != nil {
		t.Error(err)
	}
	wantError(t, put("f", 101), 400, "InvalidParameterValueException", "decreases account's UnreservedConcurrentExecution below its minimum value of [0]")
	wantError(t, put(arn("f:$LATEST"), 1), 400, "InvalidParameterValueException", "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation.")
	wantError(t, put("g", 1), 404, "ResourceNotFoundException", arn("g"))
	settings, err := f.lambda.GetAccountSettings(t.Context(), &sdklambda.GetAccountSettingsInput{})
	if err != nil || settings.AccountLimit.ConcurrentExecutions != 100 || *settings.AccountLimit.UnreservedConcurrentExecutions != 60 || settings.AccountUsage.FunctionCount != 1 || settings.AccountUsage.TotalCodeSize == 0 {
		t.Errorf("settings %+v %+v, %v", settings.AccountLimit, settings.AccountUsage, err)
	}
	if _, err := f.lambda.DeleteFunctionConcurrency(t.Context(), &sdklambda.DeleteFunctionConcurrencyInput{FunctionName: name}); err != nil {
		t.Error(err)
	}

	resource := sdk.String(arn("f"))
	if _, err := f.lambda.TagResource(t.Context(), &sdklambda.TagResourceInput{Resource: resource, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Error(err)
	}
	if _, err := f.lambda.UntagResource(t.Context(), &sdklambda.UntagResourceInput{Resource: resource, TagKeys: []string{"a"}}); err != nil {
		t.Error(err)
	}
	tags, err := f.lambda.ListTags(t.Context(), &sdklambda.ListTagsInput{Resource: resource})
	if err != nil || cmp.Diff(map[string]string{"b": "2"}, tags.Tags) != "" {
		t.Errorf("tags %v, %v", tags, err)
	}
	tag := func(resource string, tags map[string]string) error {
		_, err := f.lambda.TagResource(t.Context(), &sdklambda.TagResourceInput{Resource: &resource, Tags: tags})
		return err
	}
	wantError(t, tag(arn("f"), map[string]string{}), 400, "InvalidParameterValueException", "An error occurred and the request cannot be processed.")
	wantError(t, tag(arn("f:1"), map[string]string{"a": ""}), 400, "InvalidParameterValueException", "Tags on function aliases and versions are not supported. Please specify a function ARN.")
	wantError(t, tag("f", map[string]string{"a": ""}), 400, "ValidationException", "at 'resource'")
	wantError(t, tag(arn("f"), map[string]string{"aws:x": ""}), 400, "InvalidParameterValueException", "System tags cannot be added/updated by requester.")
	many := map[string]string{}
	for i := range 50 {
		many[strconv.Itoa(i)] = ""
	}
	wantError(t, tag(arn("f"), many), 400, "InvalidParameterValueException", "Number of tags exceeds resource tag limit.")
	res := f.send(t, "lambda", http.MethodDelete, "/2017-03-31/tags/"+strings.ReplaceAll(arn("f"), ":", "%3A"), "", nil)
	if res.status != http.StatusBadRequest || !strings.Contains(res.body, "Value null at 'tagKeys' failed to satisfy constraint: Member must not be null") {
		t.Errorf("untag without keys: %d %s", res.status, res.body)
	}
}
