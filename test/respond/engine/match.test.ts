import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matches } from '../../../src/respond/engine/match.ts'
import type { Match, Playbook } from '../../../src/respond/playbook/playbook.ts'
import { priorityIndex } from '../../../src/shared/alert/alert.ts'

const playbook = (match: Match = {}, on = ['falco.>']): Playbook => ({
  name: 'p',
  on,
  match,
  steps: [],
  concurrency: 4,
  maxDeliver: 5,
  coolDownMs: 0,
})

const ALERT = {
  priority: 'Critical',
  rule: 'Terminal shell in container',
  source: 'syscall',
  tags: ['T1059', 'container', 'shell'],
  output_fields: {
    'k8s.ns.name': 'payments',
    'k8s.pod.name': null,
    'proc.tty': 34816,
    list: ['a'],
  },
}

describe('matches', () => {
  it.each<[Match]>([
    [{}],
    [{ source: ['k8s_audit', 'syscall'] }],
    [{ rule: ['Terminal shell in container'] }],
    [{ minPriority: priorityIndex('critical')! }],
    [{ minPriority: priorityIndex('debug')! }],
    [{ tags: ['x', 'shell'] }],
    [{ outputFields: { 'k8s.ns.name': { in: ['payments'] } } }],
    [{ outputFields: { 'k8s.ns.name': { not: ['shop'] } } }],
    [{ outputFields: { 'k8s.pod.name': { not: ['x'] }, none: { not: ['x'] } } }],
    [{ outputFields: { 'proc.tty': { in: ['34816'] }, list: { in: ['a'] } } }],
  ])('passes %j', (match) => {
    expect(matches(playbook(match), 'falco.critical.x', ALERT)).toBe(true)
  })

  it.each<[Match, RegExp]>([
    [{ source: ['k8s_audit'] }, /^source is "syscall", not k8s_audit$/],
    [{ rule: ['Other'] }, /^rule is "Terminal shell in container", not "Other"$/],
    [{ minPriority: 1 }, /^priority is "Critical", not alert or more severe$/],
    [{ tags: ['network'] }, /^tags are \[.*\], none of "network"$/],
    [
      { outputFields: { 'k8s.ns.name': { in: ['shop'] } } },
      /^output field k8s\.ns\.name is "payments", not "shop"/,
    ],
    [
      { outputFields: { 'k8s.ns.name': { not: ['payments'] } } },
      /is "payments", which is excluded$/,
    ],
    [{ outputFields: { 'k8s.pod.name': { in: ['null', ''] } } }, /k8s\.pod\.name is missing, not/],
    [{ outputFields: { constructor: { in: ['x'] } } }, /constructor is missing/],
    [{ outputFields: { list: { not: ['a'] } } }, /which is excluded$/],
  ])('says why not for %j', (match, why) => {
    expect(matches(playbook(match), 'falco.critical.x', ALERT)).toMatch(why)
  })

  it('looks at the subject first, and never at our own', () => {
    expect(matches(playbook({}, ['falco.a.*']), 'falco.b.x', ALERT)).toBe(
      'the subject "falco.b.x" matches none of falco.a.*',
    )
    expect(matches(playbook({}, ['>']), 'falco.response.p.slack.ok', ALERT)).toMatch(/our own/)
    expect(matches(playbook({}, ['>']), 'falco.dead_letter.p', ALERT)).toMatch(/our own/)
  })

  it('takes any case of a priority, and none that it does not know', () => {
    const match = playbook({ minPriority: 4 })
    expect(matches(match, 'falco.x', { ...ALERT, priority: 'WARNING' })).toBe(true)
    expect(matches(match, 'falco.x', { ...ALERT, priority: 'info' })).toMatch(/^priority is "info"/)
    expect(matches(match, 'falco.x', { ...ALERT, priority: 'great' })).toMatch(
      /^priority is "great"/,
    )
  })

  it('says it in one printable line whatever the alert has', () => {
    const match = playbook({
      tags: ['t'],
      source: ['s'],
      outputFields: { f: { in: ['x'] }, g: { not: ['x'] } },
    })
    fc.assert(
      fc.property(fc.anything(), fc.string(), fc.jsonValue(), (fields, rule, tags) => {
        const alert = { priority: 'x', rule, source: 's', tags, output_fields: fields }
        expect(matches(match, 'falco.x', alert)).toMatch(/^[ -~]+$/)
      }),
    )
  })
})
