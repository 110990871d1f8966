"""Methods that make a V x H table smaller: one module and one YAML file in conf/factorization/ each."""
