// Steps that are taken when the server has read so much more: faults that strike by time alone seldom hit a batch that
// is in flight.

export type Unit = 'bytes' | 'pings'

export type Triggers = ReturnType<typeof createTriggers>

export function createTriggers() {
  let waiting: { readonly unit: Unit; left: number; readonly step: () => void }[] = []
  return {
    /** Takes `step` when the server has read `count` more, 1 or more. */
    after(unit: Unit, count: number, step: () => void): void {
      waiting.push({ unit, left: count, step })
    },
    /** How many bytes may be read until the next is due. */
    bytesLeft(): number {
      let least = Number.POSITIVE_INFINITY
      for (const { unit, left } of waiting) if (unit === 'bytes' && left < least) least = left
      return least
    },
    count(unit: Unit, count: number): void {
      if (waiting.length === 0) return
      for (const each of waiting) if (each.unit === unit) each.left -= count
      const due = waiting.filter(({ left }) => left <= 0)
      waiting = waiting.filter(({ left }) => left > 0)
      for (const { step } of due) step()
    },
    clear(): void {
      waiting = []
    },
  }
}
