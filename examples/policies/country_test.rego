package fleet.site.country_test

import data.fleet.site.country

test_a_country_is_needed if {
	count(country.deny) == 1 with input as {"name": "graz", "labels": {"line": "assembly"}}
}

test_two_letters_are_a_country if {
	count(country.deny) == 0 with input as {"name": "graz", "labels": {"country": "at"}}
}

test_a_name_is_not if {
	count(country.deny) == 1 with input as {"name": "graz", "labels": {"country": "Austria"}}
}
