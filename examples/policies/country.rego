package fleet.site.country

# METADATA
# title: A site says in which country it is
# description: |
#   Spare parts, works council rules and the hours of the service desk go by country, so every site has a
#   label `country` with the two letters of ISO 3166-1, in lower case.
# custom:
#   code: ORG001
deny contains {
	"code": "ORG001",
	"msg": sprintf("site %s has no label country", [input.name]),
	"path": ["labels", "country"],
	"help": "labels: {country: at}",
} if {
	not input.labels.country
}

deny contains {
	"code": "ORG001",
	"msg": sprintf("%s is no country's two letters in lower case", [country]),
	"path": ["labels", "country"],
} if {
	country := input.labels.country
	not regex.match(`^[a-z]{2}$`, country)
}
