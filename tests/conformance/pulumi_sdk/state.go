package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/sig"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
)

// A state as Pulumi's types read it back: every secret opened, every URN parsed.
type normalState struct {
	Resources []apitype.ResourceV3  `json:"resources"`
	Pending   []apitype.OperationV2 `json:"pending"`
	Secrets   int                   `json:"secrets"`
}

func judgeState(file, passphrase string) (*normalState, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var whole struct {
		Version    int
		Deployment json.RawMessage
	}
	if err := strictly(text, &whole); err != nil {
		return nil, err
	}
	var deployment apitype.DeploymentV3
	if err := strictly(whole.Deployment, &deployment); err != nil {
		return nil, err
	}
	if err := checkManifest(deployment.Manifest); err != nil {
		return nil, err
	}
	if err := checkOrder(deployment.Resources); err != nil {
		return nil, err
	}
	opener := &opener{}
	if provider := deployment.SecretsProviders; provider != nil {
		if opener.crypter, err = crypterOf(provider, passphrase); err != nil {
			return nil, err
		}
	}
	all := append([]apitype.ResourceV3{}, deployment.Resources...)
	for i := range deployment.PendingOperations {
		all = append(all, deployment.PendingOperations[i].Resource)
	}
	for i := range all {
		for _, bag := range []map[string]any{all[i].Inputs, all[i].Outputs} {
			for key, value := range bag {
				if bag[key], err = opener.open(value); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", all[i].URN, key, err)
				}
			}
		}
	}
	return &normalState{deployment.Resources, deployment.PendingOperations, opener.count}, nil
}

// strictly decodes JSON and refuses every field that the type does not have. Pulumi's JSON schemas are not asked:
// they lack fields that its types have and its CLI writes, such as created, modified and retainOnDelete.
func strictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// checkManifest is pkg/resource/deploy/manifest.go's: the magic is the digest of the version.
func checkManifest(manifest apitype.ManifestV1) error {
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(manifest.Version))); manifest.Magic != want {
		return fmt.Errorf("the manifest's magic is %q, and %q belongs to %q", manifest.Magic, want, manifest.Version)
	}
	return nil
}

// checkOrder repeats what the CLI asks of a state before it imports one (Snapshot.VerifyIntegrity, which is no part
// of the SDK): URNs parse and fit their types, and whatever is referred to stands before.
func checkOrder(resources []apitype.ResourceV3) error {
	seen := map[urn.URN]bool{}
	live := map[urn.URN]bool{}
	providers := map[string]bool{}
	for _, r := range resources {
		parsed, err := urn.Parse(string(r.URN))
		if err != nil {
			return err
		}
		if parsed.Type() != r.Type {
			return fmt.Errorf("%s has the type %q", r.URN, r.Type)
		}
		if r.Custom && !r.Delete && r.ID == "" && !r.PendingReplacement {
			return fmt.Errorf("%s has no id", r.URN)
		}
		references := append([]urn.URN{}, r.Dependencies...)
		for _, urns := range r.PropertyDependencies {
			references = append(references, urns...)
		}
		for _, other := range []urn.URN{r.Parent, r.DeletedWith} {
			if other != "" {
				references = append(references, other)
			}
		}
		for _, other := range references {
			if !seen[other] {
				return fmt.Errorf("%s refers to %s, which does not stand before it", r.URN, other)
			}
		}
		if r.Provider != "" && !providers[r.Provider] {
			return fmt.Errorf("%s has the provider %s, which does not stand before it", r.URN, r.Provider)
		}
		if !r.Delete && live[r.URN] {
			return fmt.Errorf("%s is there twice", r.URN)
		}
		seen[r.URN], live[r.URN] = true, live[r.URN] || !r.Delete
		if strings.HasPrefix(string(r.Type), "pulumi:providers:") {
			providers[string(r.URN)+"::"+string(r.ID)] = true
		}
	}
	return nil
}

// crypterOf is pkg/secrets/passphrase's: the salt carries a sealed word that only the right passphrase opens.
func crypterOf(provider *apitype.SecretsProvidersV1, passphrase string) (config.Crypter, error) {
	var state struct{ Salt string }
	if provider.Type != "passphrase" {
		return nil, fmt.Errorf("the secrets provider is %q", provider.Type)
	}
	if err := json.Unmarshal(provider.State, &state); err != nil {
		return nil, err
	}
	parts := strings.SplitN(state.Salt, ":", 3)
	if len(parts) != 3 || parts[0] != "v1" {
		return nil, fmt.Errorf("%q is no salt", state.Salt)
	}
	salt, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	crypter := config.NewSymmetricCrypterFromPassphrase(passphrase, salt)
	word, err := crypter.DecryptValue(context.Background(), parts[2])
	if err != nil || word != "pulumi" {
		return nil, fmt.Errorf("the passphrase is not this state's: %w", err)
	}
	return crypter, nil
}

type opener struct {
	crypter config.Crypter
	count   int
}

// open replaces each sealed secret by {"secret": its plain value}.
func (o *opener) open(value any) (any, error) {
	switch value := value.(type) {
	case []any:
		for i := range value {
			var err error
			if value[i], err = o.open(value[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if value[sig.Key] == sig.Secret {
			return o.unseal(value)
		}
		for key := range value {
			var err error
			if value[key], err = o.open(value[key]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

func (o *opener) unseal(sealed map[string]any) (any, error) {
	ciphertext, _ := sealed["ciphertext"].(string)
	if o.crypter == nil || ciphertext == "" {
		return nil, fmt.Errorf("a secret is not sealed, or there is no salt to open it")
	}
	text, err := o.crypter.DecryptValue(context.Background(), ciphertext)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := json.Unmarshal([]byte(text), &plain); err != nil {
		return nil, err
	}
	o.count++
	return map[string]any{"secret": plain}, nil
}
