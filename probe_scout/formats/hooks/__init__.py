"""Hooks out of what people have already: objects, skeletons, policies of Tetragon, scripts of bpftrace."""
