import { describe, expect, it } from 'vitest'
import { createBatchPool } from '../../../src/forward/encoding/batch.ts'
import { createEncoder, type Reading } from '../../../src/forward/encoding/encoder.ts'
import { headersOf } from '../../../src/forward/encoding/headers.ts'
import type { Kind } from '../../../src/forward/encoding/kind-table.ts'
import { linesOf, subjectAt } from '../../../src/forward/encoding/messages.ts'
import {
  type Alert,
  outputField,
  parseAlert,
  priorityIndex,
} from '../../../src/shared/alert/alert.ts'
import { parseTemplate, subjectOf } from '../../../src/shared/alert/subject.ts'
import { alertLines, realAlertLines } from '../../support/fixtures.ts'
import { generator, SEED } from '../../support/random.ts'

const template = parseTemplate('falco.<priority>.<rule>')
const setUp = () =>
  createEncoder(
    (alert) => subjectOf(template, alert),
    (alert) => headersOf({ falco: true, added: [] }, alert),
  )

/** The alert with nothing but the fields that are looked at. */
const looked = (alert: Alert) => ({
  ...(({ priority, rule, source, hostname, tags }) => ({ priority, rule, source, hostname, tags }))(
    alert,
  ),
  pod: [outputField(alert, 'k8s.ns.name'), outputField(alert, 'k8s.pod.name')],
})

type Encoder = ReturnType<typeof setUp>

/** The kind of a line that is one, or why it is none. */
function kindOf(encoder: Encoder, bytes: Buffer, start = 0, end = bytes.length) {
  const reading = encoder.read(bytes, start, end)
  return typeof reading === 'string' ? reading : reading.kind
}

const lineOf = (alert: object) => Buffer.from(JSON.stringify(alert))
const ALERT = { hostname: 'n', output: 'x', priority: 'Notice', rule: 'Shell', source: 'syscall' }

describe('read', () => {
  it('gives the same kind for alerts that differ in nothing that we look at', () => {
    const encoder = setUp()
    const read = (alert: object) => {
      const line = lineOf(alert)
      return kindOf(encoder, Buffer.concat([Buffer.from('x\n'), line]), 2, 2 + line.length)
    }
    // What comes once is not remembered.
    const first = read(ALERT)
    const kind = read(ALERT) as Kind
    expect(kind).toEqual(first)
    expect(kind.severity).toBe(5)
    expect(kind.protocolPrefix.toString()).toBe(`HPUB falco.notice.shell ${kind.headers!.length} `)
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
    const encoder = setUp()
    const random = generator(SEED)
    const lines = [...alertLines(), ...realAlertLines()]
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
      const reading = encoder.read(line, 0, line.length)
      if (typeof reading === 'string' || typeof parsed === 'string') expect(reading).toBe(parsed)
      else {
        expect(looked(reading.alert())).toEqual(looked(parsed))
        expect(reading.kind.severity).toBe(priorityIndex(parsed.priority) ?? 0)
        if (line.equals(original)) expect(reading.time).toBe(Date.parse(String(parsed.time)))
      }
    }
  })

  it('takes an alert whatever its fields are', () => {
    const encoder = setUp()
    for (const value of [{}, { a: [{}] }, [], ['p', 1], 5, null, true]) {
      const fields = { 'k8s.ns.name': value, 'k8s.pod.name': value }
      const line = lineOf({ ...ALERT, source: value, tags: value, output_fields: fields })
      for (let times = 0; times < 3; times++) {
        const reading = encoder.read(line, 0, line.length) as Reading
        expect(reading.kind.severity).toBe(5)
        expect(looked(reading.alert())).toMatchObject({ source: value, pod: [value, value] })
      }
    }
  })

  it('gives why a line is no alert', () => {
    const encoder = setUp()
    for (const [text, why] of [
      ['', 'invalid_json'],
      ['{', 'invalid_json'],
      ['[]', 'not_an_alert'],
      ['{"rule":"r"}', 'not_an_alert'],
      ['{"rule":"","priority":"p"}', 'not_an_alert'],
      ['{"rule":{"a":1},"priority":"p"}', 'not_an_alert'],
    ] as const)
      for (let times = 0; times < 2; times++)
        expect([text, kindOf(encoder, Buffer.from(text))]).toEqual([text, why])
  })

  it('forgets rather than grows, and is right all the same', () => {
    const encoder = setUp()
    for (let n = 0; n < 40_000; n++) {
      const line = lineOf({ ...ALERT, rule: `rule ${n}` })
      for (let times = 0; times < 3; times++) {
        const { kind, alert } = encoder.read(line, 0, line.length) as Reading
        const { protocolPrefix, headers } = kind
        expect(String(protocolPrefix)).toBe(`HPUB falco.notice.rule_${n} ${headers!.length} `)
        expect(alert().rule).toBe(`rule ${n}`)
      }
    }
  })
})

/** Of all rules in real-alerts.jsonl. */
const REAL_SUBJECTS = {
  'RF "odd" näme / 名前 <b>*>.$JS… 100%': 'falco.informational.rf_odd_name_b_js_100',
  中文规则: 'falco.critical.rule_17d1b595',
  'Create Symlink Over Sensitive Files': 'falco.warning.create_symlink_over_sensitive_files',
  'Directory traversal monitored file read':
    'falco.warning.directory_traversal_monitored_file_read',
  'Execution from /dev/shm': 'falco.warning.execution_from_dev_shm',
  'Falco internal: metrics snapshot': 'falco.informational.falco_internal_metrics_snapshot',
  'Falco internal: syscall event drop': 'falco.debug.falco_internal_syscall_event_drop',
  'Fileless execution via memfd_create': 'falco.critical.fileless_execution_via_memfd_create',
  'Load open': 'falco.debug.load_open',
  'PTRACE attached to process': 'falco.warning.ptrace_attached_to_process',
  'RF load open': 'falco.debug.rf_load_open',
  'Read sensitive file untrusted': 'falco.warning.read_sensitive_file_untrusted',
  'Remove Bulk Data from Disk': 'falco.warning.remove_bulk_data_from_disk',
  'Search Private Keys or Passwords': 'falco.warning.search_private_keys_or_passwords',
  'Terminal shell in container': 'falco.notice.terminal_shell_in_container',
}

it("adds Falco's own lines byte for byte, each on the subject of its rule", () => {
  const lines = realAlertLines()
  const batch = createBatchPool(256 * 1024).borrow()
  const text = Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]))
  expect(setUp().addLines(batch, text)).toBe(0)
  expect(linesOf(batch).equals(text)).toBe(true)
  const subjects: Record<string, string> = {}
  for (const [index, line] of lines.entries())
    subjects[JSON.parse(String(line)).rule] = String(subjectAt(batch, index))
  expect(subjects).toEqual(REAL_SUBJECTS)
})

describe('addLines', () => {
  const text = (priority: string, rule = 'r') => JSON.stringify({ priority, rule })

  it('adds every line but those of one severity, and counts what is no alert', () => {
    const batch = createBatchPool(64 * 1024).borrow()
    const lines = ['Notice', 'Debug', 'Error'].map((priority) => text(priority))
    expect(setUp().addLines(batch, Buffer.from(`${lines.join('\n{"cut\n')}\n[]`), 7)).toBe(3)
    expect(linesOf(batch).toString()).toBe(`${lines[0]}\n${lines[2]}\n`)
    expect(subjectAt(batch, 1).toString()).toBe('falco.error.r')
    expect(batch.leastSevere).toBe(5)
  })

  it('hands over a line for which something is thrown, and adds the others', () => {
    const failed: string[] = []
    const encoder = createEncoder(
      ({ rule }) => {
        if (rule === 'bad') throw new Error('broken')
        return rule
      },
      undefined,
      (line, error) => failed.push(`${line} ${error}`),
    )
    const batch = createBatchPool(64 * 1024).borrow()
    const lines = [text('Notice'), text('Notice', 'bad'), text('Error')]
    expect(encoder.addLines(batch, Buffer.from(lines.join('\n')))).toBe(0)
    expect(linesOf(batch).toString()).toBe(`${lines[0]}\n${lines[2]}\n`)
    expect(failed).toEqual([`${lines[1]} Error: broken`])
  })
})
