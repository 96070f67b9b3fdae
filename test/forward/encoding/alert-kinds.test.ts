import { describe, expect, it } from 'vitest'
import { createKinds, type Kind } from '../../../src/forward/encoding/alert-kinds.ts'
import { createHeaders } from '../../../src/forward/encoding/headers.ts'
import {
  type Alert,
  outputField,
  parseAlert,
  priorityIndex,
} from '../../../src/shared/alert/alert.ts'
import { createSubjects, parseTemplate } from '../../../src/shared/alert/subject.ts'
import { alertLines } from '../../support/fixtures.ts'
import { generator, SEED } from '../../support/random.ts'

const setUp = () =>
  createKinds(
    createSubjects(parseTemplate('falco.<priority>.<rule>')),
    createHeaders({ falco: true, added: [] }),
  )

/** The alert with nothing but the fields that are looked at. */
const looked = (alert: Alert) => ({
  ...(({ priority, rule, source, hostname, tags }) => ({ priority, rule, source, hostname, tags }))(
    alert,
  ),
  pod: [outputField(alert, 'k8s.ns.name'), outputField(alert, 'k8s.pod.name')],
})

const lineOf = (alert: object) => Buffer.from(JSON.stringify(alert))
const ALERT = { hostname: 'n', output: 'x', priority: 'Notice', rule: 'Shell', source: 'syscall' }

describe('read', () => {
  it('gives the same kind for alerts that differ in nothing that we look at', () => {
    const kinds = setUp()
    const read = (alert: object) => {
      const line = lineOf(alert)
      return kinds.read(Buffer.concat([Buffer.from('x\n'), line]), 2, 2 + line.length)
    }
    // What comes once is not remembered.
    const first = read(ALERT)
    const kind = read(ALERT) as Kind
    expect(kind).toEqual(first)
    expect(kind.severity).toBe(5)
    expect(kind.frame.toString()).toBe(`HPUB falco.notice.shell ${kind.headers!.length} `)
    expect(read({ ...ALERT, output: 'y', time: 'z', uuid: 1 })).toBe(kind)
    for (const more of [
      { rule: 'Shelm' },
      { rule: 'Shell ' },
      { priority: 'notice' },
      { hostname: 'm' },
      { hostname: 5 },
      { source: null },
      { tags: [] },
      { output_fields: { 'k8s.pod.name': 'p' } },
      { output_fields: { 'k8s.ns.name': 'p' } },
    ])
      for (let times = 0; times < 3; times++)
        expect([more, read({ ...ALERT, ...more }) === kind]).toEqual([more, false])
  })

  it('gives what JSON.parse gives, again and again, whatever the alert', () => {
    const kinds = setUp()
    const random = generator(SEED)
    const lines = alertLines()
    const fields = ['rule', 'hostname', 'source', 'tags', 'priority']
    for (let n = 0; n < 30_000; n++) {
      const original = lines[random(lines.length)]!
      const line = Buffer.from(original)
      if (random(2)) {
        // A byte of a value of ours becomes another.
        const field = line.indexOf(`"${fields[random(fields.length)]}":`)
        line[field + 8 + random(30)] = random(256)
      }
      const parsed = parseAlert(line, 0, line.length)
      const kind = kinds.read(line, 0, line.length)
      if (typeof parsed === 'string') expect(kind).toBe(parsed)
      else {
        expect(looked(kinds.alert())).toEqual(looked(parsed))
        expect((kind as Kind).severity).toBe(priorityIndex(parsed.priority) ?? 0)
        if (line.equals(original)) expect(kinds.time()).toBe(Date.parse(String(parsed.time)))
      }
    }
  })

  it('takes an alert whatever its fields are', () => {
    const kinds = setUp()
    for (const value of [{}, { a: [{}] }, [], ['p', 1], 5, null, true]) {
      const fields = { 'k8s.ns.name': value, 'k8s.pod.name': value }
      const line = lineOf({ ...ALERT, source: value, tags: value, output_fields: fields })
      for (let times = 0; times < 3; times++) {
        expect(kinds.read(line, 0, line.length)).toMatchObject({ severity: 5 })
        expect(looked(kinds.alert())).toMatchObject({ source: value, pod: [value, value] })
      }
    }
  })

  it('tells what is no alert', () => {
    const kinds = setUp()
    for (const [text, why] of [
      ['', 'invalid_json'],
      ['{', 'invalid_json'],
      ['[]', 'not_an_alert'],
      ['{"rule":"r"}', 'not_an_alert'],
      ['{"rule":"","priority":"p"}', 'not_an_alert'],
      ['{"rule":{"a":1},"priority":"p"}', 'not_an_alert'],
    ] as const)
      for (let times = 0; times < 2; times++)
        expect([text, kinds.read(Buffer.from(text), 0, text.length)]).toEqual([text, why])
  })

  it('forgets rather than grows, and is right all the same', () => {
    const kinds = setUp()
    for (let n = 0; n < 40_000; n++) {
      const line = lineOf({ ...ALERT, rule: `rule ${n}` })
      for (let times = 0; times < 3; times++) {
        const { frame, headers } = kinds.read(line, 0, line.length) as Kind
        expect(String(frame)).toBe(`HPUB falco.notice.rule_${n} ${headers!.length} `)
        expect(kinds.alert().rule).toBe(`rule ${n}`)
      }
    }
  })
})
