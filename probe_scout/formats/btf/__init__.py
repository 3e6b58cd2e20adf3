"""BTF: kinds, types, prototypes, and what is derived from them."""
