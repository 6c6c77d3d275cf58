package fleet.site.identity

# METADATA
# title: A production site with a line to the company is joined to its directory
# description: |
#   People who leave lose their access to a plant's machines on the same day, and only because it hangs on
#   the directory. A local identity provider is for trials, and for sites that no line reaches.
# custom:
#   code: ORG002
deny contains {
	"msg": sprintf("production site %s has the identity provider %s", [input.name, provider]),
	"path": ["azureLocal", "identityProvider"],
	"help": "identityProvider: ActiveDirectory, or another environment than prod",
} if {
	input.environment == "prod"
	input.connectivity.mode != "disconnected"
	provider := input.azureLocal.identityProvider
	provider != "ActiveDirectory"
}
