/** Quantiles of values: between two of them in proportion, as pandas and DuckDB (`quantile_cont`) have it. Pure. */

/** @param q from 0 to 1. @returns null when there is no value */
export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null
  const sorted = Float64Array.from(values).sort()
  const position = (sorted.length - 1) * q
  const below = sorted[Math.floor(position)] ?? 0
  const above = sorted[Math.ceil(position)] ?? below
  return below + (above - below) * (position - Math.floor(position))
}
