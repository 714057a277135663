"""Reading files of others: plain bytes, JSON, tables, arrays."""
