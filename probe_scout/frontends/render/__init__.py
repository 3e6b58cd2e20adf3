"""Reports to text. Renderers know report types and no rule by name."""
