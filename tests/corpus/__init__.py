"""The corpus: small inputs of the kinds that people upload and that media software gets wrong, made by script.

`tables` lists them, each with how it is made, the jobs that are run on it, and what has to come out. `product` runs the
jobs through the workers' own code; `judge` decodes what came out and compares. `python -m tests.corpus.sheets FOLDER`
makes contact sheets of inputs and outputs. In a table only the column `short` decides what `make test` runs;
`make test-media` runs all.
"""
