"""Pure image work: values in, values out; no files, no clocks, no logs."""
