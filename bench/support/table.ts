// Medians of runs as plain tables.

/** Figures of one run by the heading of their column. */
export type Row = Readonly<Record<string, number>>

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Of each figure on its own. */
export function medians(runs: readonly Row[]): Row {
  const headings = Object.keys(runs[0] ?? {})
  return Object.fromEntries(
    headings.map((heading) => [heading, median(runs.map((row) => row[heading]!))]),
  )
}

/** Prints the rows and, with `ratios`, what the first is in relation to each of the others. */
export function print(title: string, rows: ReadonlyMap<string, Row>, ratios = true): void {
  const [[first, figures] = ['', {}], ...others] = rows
  const headings = [...new Set([...rows.values()].flatMap(Object.keys))]
  const lines = [...rows].map(([name, row]) => [
    name,
    ...headings.map((heading) => numeral(row[heading])),
  ])
  for (const [name, row] of ratios ? others : [])
    lines.push([
      `${first} ÷ ${name}`,
      ...headings.map((heading) => ratio(figures[heading], row[heading])),
    ])
  const all = [['', ...headings], ...lines]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)))
  console.log(`\n${title}`)
  for (const [name, ...cells] of all) {
    const padded = cells.map((cell, column) => cell.padStart(widths[column + 1]!))
    console.log(`  ${[name!.padEnd(widths[0]!), ...padded].join('   ')}`)
  }
}

const ratio = (of: number | undefined, to: number | undefined) =>
  of === undefined || to === undefined || to === 0 ? '' : `${(of / to).toFixed(2)}×`

/** Three digits that count, and all of those before the point. */
function numeral(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return ''
  const digits =
    value === 0 ? 0 : Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(Math.abs(value)))))
  return value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}
