package compat_test

import (
	"errors"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// once keeps the SDK from repeating a call.
func once(o *lambda.Options) { o.Retryer = sdk.NopRetryer{} }

func throttledFor(err error, reason types.ThrottleReason) bool {
	var throttled *types.TooManyRequestsException
	return errors.As(err, &throttled) && throttled.Reason == reason
}

func TestGoSDKIsThrottledAtOnce(t *testing.T) {
	c, function := client(), name(t)
	create(t, function, nil)
	if _, err := c.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: &function, ReservedConcurrentExecutions: sdk.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	const full = types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded
	call := func(payload string) error {
		_, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function, Payload: []byte(payload)}, once)
		return err
	}
	holder := make(chan error, 1)
	go func() {
		err := call(`{"wait":5000}`)
		for throttledFor(err, full) { // a call below was there first
			err = call(`{"wait":5000}`)
		}
		holder <- err
	}()
	for {
		err := call(`{}`)
		select {
		case ended := <-holder:
			t.Fatalf("the call that held the only environment ended (%v) before one beside it was refused", ended)
		default:
		}
		if throttledFor(err, full) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-holder; err != nil {
		t.Error(err)
	}
}

func TestGoSDKBoundsEnvironments(t *testing.T) {
	c, function := client(), name(t)
	create(t, function, nil)
	qualifier := sdk.String("$LATEST.PUBLISHED")
	if _, err := c.PutFunctionScalingConfig(t.Context(), &lambda.PutFunctionScalingConfigInput{
		FunctionName: &function, Qualifier: qualifier,
		FunctionScalingConfig: &types.FunctionScalingConfig{MinExecutionEnvironments: sdk.Int32(0), MaxExecutionEnvironments: sdk.Int32(2)},
	}); err != nil {
		t.Fatal(err)
	}
	updated(t, function)
	got, err := c.GetFunctionScalingConfig(t.Context(), &lambda.GetFunctionScalingConfigInput{FunctionName: &function, Qualifier: qualifier})
	if err != nil || *got.AppliedFunctionScalingConfig.MaxExecutionEnvironments != 2 {
		t.Fatalf("scaling: %+v, %v", got, err)
	}
	if _, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function}); err != nil {
		t.Error(err)
	}
}
