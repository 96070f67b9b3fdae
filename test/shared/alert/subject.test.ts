import { describe, expect, it } from 'vitest'
import {
  parseTemplate,
  streamSubject,
  subjectOf,
  subjectToken,
} from '../../../src/shared/alert/subject.ts'
import { fixture, linesOf } from '../../support/fixtures.ts'

const rule = (value: string) => subjectToken('rule', value)

/** The rule of the retired Go falco-nats, and of falcosidekick, for ASCII names. */
const goSlug = (name: string) => {
  let slug = ''
  for (const char of name.replace(/[A-Z]/g, (upper) => upper.toLowerCase()))
    slug += /[a-z0-9]/.test(char) ? char : slug.endsWith('_') ? '' : '_'
  return slug.replace(/^_+|_+$/g, '')
}

describe('subjectToken', () => {
  it("gives what the Go tools give for each of Falco's 243 rule names", () => {
    const names = linesOf(fixture('falco-rule-names.txt')).map(String)
    expect(names).toHaveLength(243)
    for (const name of names) expect(rule(name)).toBe(goSlug(name))
    expect(new Set(names.map(rule)).size).toBe(243)
  })

  it.each([
    [
      'Redirect STDOUT/STDIN to Network Connection in Container',
      'redirect_stdout_stdin_to_network_connection_in_container',
    ],
    ['Execution from /dev/shm', 'execution_from_dev_shm'],
    ['Container Drift Detected (open+create)', 'container_drift_detected_open_create'],
    [
      'Backdoored library loaded into SSHD (CVE-2024-3094)',
      'backdoored_library_loaded_into_sshd_cve_2024_3094',
    ],
    [
      'User has been moved from suspended status in OKTA.',
      'user_has_been_moved_from_suspended_status_in_okta',
    ],
    ['a&b $c %d <e> f|g', 'a_b_c_d_e_f_g'],
    ['under_score__twice', 'under_score_twice'],
    ['tab\tnewline\ncr\r', 'tab_newline_cr'],
    ['x.*.>', 'x'],
    ['Подозрительный процесс', 'podozritelnyj_process'],
    ['Café – naïve', 'cafe_naive'],
    ['Cafe\u0301', 'cafe'],
    ['Straße\u2028нет', 'strasse_net'],
    ['\u212aelvin İstanbul', 'kelvin_istanbul'],
    ['检测 shell', 'shell'],
  ])('makes of %j %s', (name, token) => {
    expect(rule(name)).toBe(token)
  })

  it.each(['检测到可疑行为', '!!! ??? ...', ' ', '🦅', '\u0000'])('names %j by a hash', (name) => {
    expect(rule(name)).toMatch(/^rule_[0-9a-f]{8}$/)
    expect(rule(name)).toBe(rule(name))
    expect(rule(name)).not.toBe(rule(`${name}!`))
  })

  it('keeps a token within 128 characters, and two long names apart', () => {
    const long = 'very long name '.repeat(100)
    expect(rule(long)).toHaveLength(128)
    expect(rule(long)).toMatch(/^very_long_name_.*_[0-9a-f]{8}$/)
    expect(rule(long)).not.toBe(rule(`${long}2`))
    expect(rule('x'.repeat(128))).toBe('x'.repeat(128))
  })

  it('looks at no more than the head of a name, and keeps two apart that differ behind it', () => {
    const marks = `Caf\u00e9 ${'\u0316\u0301'.repeat(50_000)}`
    expect(rule(marks)).toMatch(/^cafe_[0-9a-f]{8}$/)
    expect(rule(marks)).not.toBe(rule(`${marks}!`))
    const han = `${'\u68c0'.repeat(400)} shell`
    expect(rule(han)).toBe('shell')
    expect(rule(`${'\u68c0'.repeat(2000)} shell`)).toMatch(/^rule_[0-9a-f]{8}$/)
  })

  it('has a word for what is not there', () => {
    expect(rule('')).toBe('unknown')
  })
})

describe('parseTemplate', () => {
  it.each([
    ['falco.<severity>', /unknown token <severity>.*<priority> <rule> <source> <hostname>/],
    ['falco.<>', /unknown token/],
    ['falco.*', /wildcards/],
    ['falco.>', /wildcards/],
    ['falco."a"', /quotes/],
    ['falco.a\\', /quotes/],
    ['falco.<rule', /wildcards/],
    ['falco alerts', /blanks/],
    ['falco.\u00e9', /printable ASCII/],
    ['falco..x', /empty/],
    ['.falco', /empty/],
    ['falco.', /empty/],
    ['', /empty/],
    ['$SYS.<rule>', /begin with \$/],
    [`${'<rule>.'.repeat(8)}x`, /over 1024/],
  ])('refuses %j', (text, reason) => {
    expect(() => parseTemplate(text)).toThrow(reason)
  })
})

describe('subjectOf', () => {
  const subject = (template: string, alert: object) =>
    subjectOf(parseTemplate(template), { priority: 'Notice', rule: 'A b', ...alert })

  it.each([
    ['falco.<priority>.<rule>', {}, 'falco.notice.a_b'],
    ['falco.<priority>.<rule>', { priority: 'WARNING' }, 'falco.warning.a_b'],
    ['falco.<priority>.<rule>', { priority: 'Very Bad!' }, 'falco.very_bad.a_b'],
    ['falco.<priority>.<rule>', { rule: '.>*' }, /^falco\.notice\.rule_[0-9a-f]{8}$/],
    [
      'a.<source>.<hostname>.x',
      { source: 'k8s_audit', hostname: 'ip-10.eu' },
      'a.k8s_audit.ip_10_eu.x',
    ],
    ['a.<source>', {}, 'a.unknown'],
    ['a.<source>.<hostname>', { source: null, hostname: 7 }, 'a.unknown.unknown'],
    ['a.<source>.<rule>', { source: { toString: null } }, 'a.unknown.a_b'],
    ['alerts', {}, 'alerts'],
    ['x-<rule>-<rule>', {}, 'x-a_b-a_b'],
  ])('fills %s with %j', (template, alert, expected) => {
    expect(subject(template, alert)).toMatch(expected)
  })
})

it.each([
  ['falco.<priority>.<rule>', 'falco.>'],
  ['a.b.x<rule>.c', 'a.b.>'],
  ['a.b', 'a.b'],
  ['<rule>.a', undefined],
])('knows what a stream for %j must listen to', (template, subject) => {
  expect(streamSubject(parseTemplate(template))).toBe(subject)
})
