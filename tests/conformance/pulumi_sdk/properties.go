package main

import (
	"encoding/json"
	"io"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"google.golang.org/protobuf/types/known/structpb"
)

// Values travel as on the wire: secrets under Pulumi's signature, unknowns as its well-known texts.
var wire = plugin.MarshalOptions{KeepSecrets: true, KeepUnknowns: true, KeepResources: true, SkipNulls: true}

func toMap(values map[string]any) (resource.PropertyMap, error) {
	wrapped, err := structpb.NewStruct(values)
	if err != nil {
		return nil, err
	}
	return plugin.UnmarshalProperties(wrapped, wire)
}

func fromMap(values resource.PropertyMap) (map[string]any, error) {
	wrapped, err := plugin.MarshalProperties(values, wire)
	if err != nil {
		return nil, err
	}
	return wrapped.AsMap(), nil
}

type pair struct {
	Old, New map[string]any
	// Property paths of ignoreChanges and replaceOnChanges.
	Ignore, Replace []string
}

type verdict struct {
	// Kind of difference by path: add, delete or update.
	Changes map[string]string `json:"changes"`
	// The new map after ignoreChanges, and the paths that could not be put back.
	Ignored  map[string]any `json:"ignored"`
	Refused  []string       `json:"refused"`
	Replaces []string       `json:"replaces"`
}

func compare(input io.Reader) ([]verdict, error) {
	var pairs []pair
	if err := json.NewDecoder(input).Decode(&pairs); err != nil {
		return nil, err
	}
	verdicts := make([]verdict, len(pairs))
	for i, p := range pairs {
		if err := judgePair(p, &verdicts[i]); err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

func judgePair(p pair, v *verdict) error {
	old, err := toMap(p.Old)
	if err != nil {
		return err
	}
	now, err := toMap(p.New)
	if err != nil {
		return err
	}
	v.Changes, v.Refused, v.Replaces = map[string]string{}, []string{}, []string{}
	detailed := plugin.NewDetailedDiffFromObjectDiff(old.Diff(now), true)
	for path, difference := range detailed {
		v.Changes[path] = difference.Kind.String()
	}
	kept := now.Copy()
	for _, text := range p.Ignore {
		path, err := resource.ParsePropertyPath(text)
		if err != nil {
			return err
		}
		if !path.Reset(old, kept) {
			v.Refused = append(v.Refused, text)
		}
	}
	for _, text := range p.Replace {
		pattern, err := resource.ParsePropertyPath(text)
		if err != nil {
			return err
		}
		for changed := range detailed {
			path, err := resource.ParsePropertyPath(changed)
			if err != nil {
				return err
			}
			if pattern.Contains(path) {
				v.Replaces = append(v.Replaces, changed)
			}
		}
	}
	v.Ignored, err = fromMap(kept)
	return err
}
