// What an attacker who can write into the pipe writes into it: a table of kinds of lines.

import { variedAlertLines } from './fixtures.ts'
import { generator } from './random.ts'

/** Gives one line after the other, each with its newline but those that are cut off. */
export function hostileLines(seed: number): () => Buffer {
  const random = generator(seed)
  const real = variedAlertLines().filter(({ length }) => length < 2000)
  const pick = <T>(items: readonly T[]): T => items[random(items.length)]!
  const alert = (rule: string, more: object = {}) =>
    Buffer.from(JSON.stringify({ priority: 'Warning', rule, ...more }))
  const bytes = (length: number) => Buffer.from(Array.from({ length }, () => random(256)))
  const line = (...parts: (Buffer | string)[]) =>
    Buffer.concat([...parts, '\n'].map((part) => Buffer.from(part)))
  let n = 0

  /** How often each comes, of the sum of all; and what it is. */
  const kinds: [weight: number, make: () => Buffer][] = [
    [30, () => line(bytes(1 + random(2000)))],
    [30, () => pick(real).subarray(0, 1 + random(1999))], // a writer that died
    [30, () => line(pick(real), pick(real))],
    [30, () => line(alert(`distinct ${n++}`))],
    [30, () => line(alert('pods', { output_fields: { 'k8s.pod.name': `pod-${n++}` } }))],
    [30, () => line(alert('hosts', { hostname: `host-${n++}` }))],
    [10, () => line('{"priority":"Warning","rule":"', bytes(100), '"}')],
    [10, () => line('\0'.repeat(1 + random(200)), pick(real), '\0')],
    [10, () => line(alert('> * \r\nPUB falco.x 0\r\n\x1b]0;x\x07\u202e', { source: {} }))],
    [10, () => line('{"a":'.repeat(1 + random(1000)))],
    [10, () => line('{"__proto__":{"rule":1},"priority":"Warning","rule":"r","rule":"s"}')],
    [2, () => line(alert(`a${'\u0301\u0316'.repeat(50_000)}`))], // marks that change places
    [1, () => line(alert('r'.repeat(900_000)))],
    [1, () => line(alert('long', { output: 'x'.repeat(900_000) }))],
    [1, () => line('x'.repeat(3_000_000))],
  ]
  const total = kinds.reduce((sum, [weight]) => sum + weight, 0)
  return () => {
    let at = random(total)
    for (const [weight, make] of kinds) {
      at -= weight
      if (at < 0) return make()
    }
    throw new Error('no weight is left')
  }
}
