"""The language of own rules: a small grammar over the names of the JSON document, without eval."""
