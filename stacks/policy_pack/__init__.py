"""The security rules again, where Pulumi is about to act: `pulumi up --policy-pack stacks/policy_pack`."""
