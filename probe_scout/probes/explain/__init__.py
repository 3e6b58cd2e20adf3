"""Why a person sees an answer, in human terms. Nothing here changes an answer.

`explain` gives the reasons, `forms` the names that loaders take, `hazards` what not to try,
`spelling` the nearest names, `ladder` what other projects used instead. Everything reads one
`lookup.Lookup`.
"""
