// Sizes and times as people write them in options: 1MiB, 512K, 65536; 10s, 500ms, 2m, 7d.

const BYTES: Record<string, number> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }
const MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Bytes, or undefined when the text is not a size. K, KB and KiB all mean 1024. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+)\s*([KMG]?)(?:i?B)?$/i.exec(text.trim())
  return match ? Number(match[1]) * BYTES[match[2]!.toUpperCase()]! : undefined
}

/** Milliseconds, or undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
  return match ? Math.round(Number(match[1]) * MS[match[2]!]!) : undefined
}

/** 1048576 → "1 MiB", for logs. */
export function formatBytes(bytes: number): string {
  const [unit, size] = Object.entries(BYTES).findLast(([, size]) => bytes >= size) ?? ['', 1]
  return unit ? `${Number((bytes / size).toFixed(1))} ${unit}iB` : `${bytes} bytes`
}

/** 604800000 → "7d": the largest unit that leaves no rest. */
export function formatDuration(milliseconds: number): string {
  const units = Object.entries(MS).filter(([, size]) => milliseconds % size === 0)
  const [unit, size] = units.at(-1) ?? ['ms', 1]
  return `${milliseconds / size}${unit}`
}
