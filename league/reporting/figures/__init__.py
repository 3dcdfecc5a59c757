"""Views drawn with matplotlib, for TensorBoard and the report."""
