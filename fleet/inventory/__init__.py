"""From the text of inventory files to resolved sites, with the place of every value known."""
