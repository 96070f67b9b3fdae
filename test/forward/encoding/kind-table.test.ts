import { expect, it } from 'vitest'
import { createKindTable, type Kind } from '../../../src/forward/encoding/kind-table.ts'
import { createFound, RULE, scan } from '../../../src/forward/encoding/scanner.ts'

/** A table whose kinds are named after their rule, and what it had to work out. */
function setUp() {
  const described: string[] = []
  const found = createFound()
  const lookUp = createKindTable<'not_an_alert'>(({ line, starts, ends }) => {
    if (starts[RULE]! < 0) return 'not_an_alert'
    const rule = line.toString('utf8', starts[RULE], ends[RULE])
    described.push(rule)
    const headers = rule.includes('headers') ? Buffer.from(`NATS/1.0 ${rule}`) : undefined
    return {
      severity: 3,
      report: undefined,
      protocolPrefix: Buffer.from(rule),
      headers,
      series: undefined,
    }
  })
  const kindOf = (alert: object): Kind | 'not_an_alert' => {
    const line = Buffer.from(JSON.stringify(alert))
    expect(scan(line, 0, line.length, found)).toBe(true)
    return lookUp(found)
  }
  return { kindOf, described }
}

it('works a kind out twice, and remembers it from then on', () => {
  const { kindOf, described } = setUp()
  const kinds = [1, 2, 3, 4].map((n) => kindOf({ output: n, rule: 'r', time: n }) as Kind)
  expect(described).toEqual(['"r"', '"r"'])
  expect(kinds.map(({ protocolPrefix }) => String(protocolPrefix))).toEqual(Array(4).fill('"r"'))
  expect(kinds[2]).toBe(kinds[1])
  kinds[2]!.series = { values: [], count: 1, seen: 1, into: undefined }
  expect(kindOf({ rule: 'r' })).toMatchObject({ severity: 3, series: { count: 1 } })
})

it('keeps what a kind is when much is remembered behind it', () => {
  const { kindOf, described } = setUp()
  for (let times = 0; times < 3; times++)
    for (let n = 0; n < 2_000; n++) {
      const { protocolPrefix, headers } = kindOf({ rule: `headers ${n}` }) as Kind
      expect([String(protocolPrefix), String(headers)]).toEqual([
        `"headers ${n}"`,
        `NATS/1.0 "headers ${n}"`,
      ])
    }
  expect(described).toHaveLength(4_000)
})

it('tells apart what differs in any byte, also where the hash does not look', () => {
  const { kindOf } = setUp()
  const letters = [...'abcdefghijkl']
  for (let length = 1; length < 40; length++)
    for (let at = 0; at < length; at++)
      for (let times = 0; times < 3; times++)
        for (const letter of letters.slice(0, length === 30 ? 12 : 2)) {
          const rule = 'x'.repeat(at) + letter + 'x'.repeat(length - at - 1)
          expect(String((kindOf({ rule }) as Kind).protocolPrefix)).toBe(`"${rule}"`)
        }
})

it('tells a missing field from another, and one field from the next', () => {
  const { kindOf } = setUp()
  const alerts = [
    { rule: 'r' },
    { rule: 'r', source: 's' },
    { rule: 'r', hostname: 's' },
    { rule: 'r', source: 's', hostname: '' },
    { rule: 'r', tags: ['s'] },
    { rule: 'r', output_fields: { 'k8s.ns.name': 's' } },
    { rule: 'r', output_fields: { 'k8s.pod.name': 's' } },
  ]
  for (const alert of alerts) kindOf(alert)
  const kinds = alerts.map((alert) => kindOf(alert))
  expect(new Set(kinds).size).toBe(alerts.length)
  expect(alerts.map((alert) => kindOf(alert))).toEqual(kinds)
})

it('remembers neither a reject nor a kind with very long fields', () => {
  const { kindOf, described } = setUp()
  for (let times = 0; times < 3; times++) {
    expect(kindOf({ priority: 'p' })).toBe('not_an_alert')
    kindOf({ rule: 'x'.repeat(5_000) })
  }
  expect(described).toHaveLength(3)
})
