import { expect, it } from 'vitest'
import { failure, one, read } from '../../support/plan.ts'

it.each([
  ['', '1:1: null is given; allowed: a map'],
  ['[]', '1:1: a list is given; allowed: a map'],
  ['playbooks: []', '1:12: playbooks: allowed: at least one playbook'],
  ['dryRun: true', '1:1: playbooks: missing; allowed: a list'],
  [
    'dryrun: true\nplaybooks: []',
    '1:1: dryrun: unknown; allowed: dryRun, maxActionsPerMinute, protectedNamespaces, playbooks',
  ],
  ['playbooks: 1\ndryRun: "no"', '2:9: dryRun: text is given; allowed: true or false'],
  [`dryRun: "no"\n${one('')}`, '1:9: dryRun: text is given; allowed: true or false'],
  [
    `maxActionsPerMinute: 0\n${one('')}`,
    '1:22: maxActionsPerMinute: allowed: a whole number from 1 to 100000',
  ],
  [
    `protectedNamespaces: [a, B]\n${one('')}`,
    '1:26: protectedNamespaces[1]: allowed: the name of a namespace',
  ],
  [
    one('nmae: x'),
    '4:5: playbooks[0].nmae: unknown; allowed: name, on, match, steps, concurrency, maxDeliver, coolDown',
  ],
  ['playbooks:\n  - on: x\n    steps: [{}]', '2:5: playbooks[0].name: missing; allowed: text'],
  [
    'playbooks:\n  - name: A_b\n    on: x\n    steps: [{}]',
    '2:11: playbooks[0].name: allowed: 1 to 48 lower-case letters, digits and dashes',
  ],
  [
    one('concurrency: 1.5'),
    '4:18: playbooks[0].concurrency: allowed: a whole number from 1 to 100',
  ],
  [
    one('coolDown: 5'),
    '4:15: playbooks[0].coolDown: allowed: a duration such as 500ms, 10s or 2m, up to 1d',
  ],
  [one('coolDown: [5s]'), '4:15: playbooks[0].coolDown: allowed: a duration such as 5m'],
  [one('coolDown:'), '4:5: playbooks[0].coolDown: allowed: a duration such as 5m'],
  [
    one('match: { priority: high }'),
    '4:24: playbooks[0].match.priority: allowed: emergency, alert, critical, error, warning, notice, informational, debug (or info)',
  ],
  [one('match: { tags: {} }'), '4:20: playbooks[0].match.tags: allowed: text, or a list of texts'],
  [
    one('match: { tgas: x }'),
    '4:14: playbooks[0].match.tgas: unknown; allowed: source, rule, priority, tags, output_fields',
  ],
  [
    one('match: { output_fields: { k8s.ns.name: {} } }'),
    /^4:44: playbooks\[0\]\.match\.output_fields\["k8s\.ns\.name"\]: allowed: a value, a list of values, or a map with in and not/,
  ],
  [one('match: { output_fields: { a: [null] } }'), /output_fields\.a: allowed: a value, a list/],
  [one('', 'steps: []'), '5:12: playbooks[0].steps: allowed: at least one step'],
  [one('', 'steps:'), '5:5: playbooks[0].steps: null is given; allowed: a list'],
])('refuses %j with one line', (text, expected) => {
  expect(failure(text)).toEqual(
    typeof expected === 'string' ? expected : expect.stringMatching(expected),
  )
})

it.each([
  ['a..b', /allowed: a subject in printable ASCII/],
  ['a b', /allowed: a subject/],
  ['falco.>.x', /allowed: a subject/],
  ['falco.x*', /allowed: a subject/],
  ['é', /allowed: a subject/],
  ['$SYS.>', /belong to the NATS server/],
  ['falco.response.>', /falco\.response\.> is what playbooks publish/],
  ['falco.response.*.slack.failed', /never acted upon/],
  ['falco.dead_letter.p', /falco\.dead_letter\.> is what playbooks publish/],
  ['""', /allowed: a subject/],
  ['7', /7 is given; allowed: text/],
])('refuses the subject %s', (subject, why) => {
  const text = `playbooks:\n  - name: p\n    on:\n    - falco.x\n    - ${subject}\n    steps: [{ delete-pod: }]`
  expect(failure(text)).toMatch(why)
  expect(failure(text)).toMatch(/^5:7: playbooks\[0\]\.on\[1\]: /)
})

it.each(['falco.>', '>', '*.*', 'falco.response', 'falco.*.*.slack.ok', 'falco.dead_letter'])(
  'takes the subject %s',
  (subject) => {
    const text = `playbooks: [{ name: p, on: "${subject}", steps: [{ delete-pod: }] }]`
    expect(read(text).playbooks[0]?.on).toEqual([subject])
  },
)
