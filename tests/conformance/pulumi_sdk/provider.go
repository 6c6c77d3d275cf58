package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// One call of a life cycle. Inputs are the program's, for Configure and Check; the calls after a Check take what it
// answered.
type call struct {
	Method  string
	URN     resource.URN
	Preview bool
	Inputs  map[string]any
}

type outcome struct {
	Method   string            `json:"method"`
	ID       resource.ID       `json:"id,omitempty"`
	Values   map[string]any    `json:"values,omitempty"`
	Failures []string          `json:"failures,omitempty"`
	Replaces []string          `json:"replaces,omitempty"`
	Detailed map[string]string `json:"detailed,omitempty"`
	Changes  int               `json:"changes,omitempty"`
	First    bool              `json:"deleteBeforeReplace,omitempty"`
	Error    string            `json:"error,omitempty"`
	Status   string            `json:"status,omitempty"`
	Version  string            `json:"version,omitempty"`
}

// A stack of one resource, as the engine would remember it between calls.
type memory struct {
	id              resource.ID
	inputs, outputs resource.PropertyMap
	checked         resource.PropertyMap
}

func drive(path string, input io.Reader) ([]outcome, error) {
	var calls []call
	if err := json.NewDecoder(input).Decode(&calls); err != nil {
		return nil, err
	}
	ctx := context.Background()
	sink := diag.DefaultSink(os.Stderr, os.Stderr, diag.FormatOptions{Color: colors.Never})
	host := &plugin.MockHost{ServerAddrF: func() string { return "127.0.0.1:1" }}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	pluginContext, err := plugin.NewContextWithHost(ctx, sink, sink, host, here, here, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = pluginContext.Close() }()
	provider, err := plugin.NewProviderFromPath(host, pluginContext, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = provider.Close() }()
	var known memory
	outcomes := make([]outcome, 0, len(calls))
	for _, c := range calls {
		done := outcome{Method: c.Method}
		if err := known.take(ctx, provider, c, &done); err != nil {
			done.Error = err.Error()
		}
		outcomes = append(outcomes, done)
	}
	return outcomes, nil
}

func (m *memory) take(ctx context.Context, p plugin.Provider, c call, done *outcome) error {
	news, err := toMap(c.Inputs)
	if err != nil {
		return err
	}
	var name string
	var type_ tokens.Type
	if c.URN != "" {
		name, type_ = c.URN.Name(), c.URN.Type()
	}
	switch c.Method {
	case "GetPluginInfo":
		info, err := p.GetPluginInfo(ctx)
		if err == nil && info.Version != nil {
			done.Version = info.Version.String()
		}
		return err
	case "Configure":
		checked, err := p.CheckConfig(ctx, plugin.CheckConfigRequest{
			URN: c.URN, Name: name, Type: type_, News: news, AllowUnknowns: true,
		})
		if err != nil {
			return err
		}
		_, err = p.Configure(ctx, plugin.ConfigureRequest{
			URN: &c.URN, Name: &name, Type: &type_, Inputs: checked.Properties,
		})
		return err
	case "Check":
		answer, err := p.Check(ctx, plugin.CheckRequest{
			URN: c.URN, Name: name, Type: type_, Olds: m.inputs, News: news, AllowUnknowns: true,
		})
		for _, failure := range answer.Failures {
			done.Failures = append(done.Failures, fmt.Sprintf("%s: %s", failure.Property, failure.Reason))
		}
		m.checked = answer.Properties
		return errors.Join(err, done.show(answer.Properties))
	case "Diff":
		answer, err := p.Diff(ctx, plugin.DiffRequest{
			URN: c.URN, Name: name, Type: type_, ID: m.id,
			OldInputs: m.inputs, OldOutputs: m.outputs, NewInputs: m.checked, AllowUnknowns: true,
		})
		done.Changes, done.First = int(answer.Changes), answer.DeleteBeforeReplace
		for _, key := range answer.ReplaceKeys {
			done.Replaces = append(done.Replaces, string(key))
		}
		done.Detailed = map[string]string{}
		for path, difference := range answer.DetailedDiff {
			done.Detailed[path] = difference.Kind.String()
		}
		return err
	case "Create":
		answer, err := p.Create(ctx, plugin.CreateRequest{
			URN: c.URN, Name: name, Type: type_, Properties: m.checked, Preview: c.Preview,
		})
		done.ID, done.Status = answer.ID, status(answer.Status)
		if !c.Preview && answer.ID != "" {
			m.id, m.inputs, m.outputs = answer.ID, m.checked, answer.Properties
		}
		return errors.Join(err, done.show(answer.Properties))
	case "Update":
		answer, err := p.Update(ctx, plugin.UpdateRequest{
			URN: c.URN, Name: name, Type: type_, ID: m.id, Preview: c.Preview,
			OldInputs: m.inputs, OldOutputs: m.outputs, NewInputs: m.checked,
		})
		done.Status = status(answer.Status)
		if !c.Preview && err == nil {
			m.inputs, m.outputs = m.checked, answer.Properties
		}
		return errors.Join(err, done.show(answer.Properties))
	case "Read":
		answer, err := p.Read(ctx, plugin.ReadRequest{
			URN: c.URN, Name: name, Type: type_, ID: m.id, Inputs: m.inputs, State: m.outputs,
		})
		done.ID, done.Status = answer.ID, status(answer.Status)
		return errors.Join(err, done.show(answer.Outputs))
	case "Delete":
		answer, err := p.Delete(ctx, plugin.DeleteRequest{
			URN: c.URN, Name: name, Type: type_, ID: m.id, Inputs: m.inputs, Outputs: m.outputs,
		})
		done.Status = status(answer.Status)
		return err
	}
	return fmt.Errorf("no method %q", c.Method)
}

func (done *outcome) show(values resource.PropertyMap) error {
	if values == nil {
		return nil
	}
	var err error
	done.Values, err = fromMap(values)
	return err
}

func status(s resource.Status) string {
	return map[resource.Status]string{
		resource.StatusOK: "ok", resource.StatusPartialFailure: "partial", resource.StatusUnknown: "unknown",
	}[s]
}
