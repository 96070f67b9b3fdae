// A block of a file that is generated, between two markers that stay.

export function between(text: string, start: string, end: string, block: string): string {
  const from = text.indexOf(start) + start.length
  const to = text.indexOf(end, from)
  if (from < start.length || to < 0) throw new Error(`no block from ${start} to ${end}`)
  return text.slice(0, from) + block + text.slice(to)
}
