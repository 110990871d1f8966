"""Ways to make a V x H table smaller: one method, one file, one YAML in conf/factorization/."""
