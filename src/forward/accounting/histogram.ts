// A histogram as plain numbers: counted into as things happen, read when somebody asks.

export interface Histogram {
  /** Upper bounds of the buckets, inclusive, ascending. */
  readonly bounds: readonly number[]
  /** How many fell into each bucket; the last is for what is over all bounds. */
  readonly counts: number[]
  sum: number
}

export function createHistogram(bounds: readonly number[]): Histogram {
  return { bounds, counts: Array(bounds.length + 1).fill(0), sum: 0 }
}

export function observe(histogram: Histogram, value: number): void {
  const { bounds, counts } = histogram
  let bucket = 0
  while (bucket < bounds.length && value > bounds[bucket]!) bucket++
  counts[bucket]!++
  histogram.sum += value
}
