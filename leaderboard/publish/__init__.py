"""Pages, tables, figures and the site, made from the records."""
