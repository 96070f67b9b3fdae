import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPlan, singlePlan } from '../../../src/respond/playbook/plan.ts'
import { UsageError } from '../../../src/shared/errors.ts'

const read = (text: string) => readPlan(text, '/etc/falco-nats/playbooks.yaml')

/** One playbook with what a test is about. */
const one = (more: string, steps = 'steps: [{ delete-pod: {} }]') =>
  `playbooks:\n  - name: p\n    on: [falco.>]\n    ${more}\n    ${steps}\n`
const oneStep = (step: string) => one('', `steps: [${step}]`)

function failure(text: string): string {
  try {
    read(text)
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    const { message } = error as Error
    expect(message).toMatch(/^\/etc\/falco-nats\/playbooks\.yaml:\d+:\d+: [ -~]+$/)
    return message.replace('/etc/falco-nats/playbooks.yaml:', '')
  }
  throw new Error('it was accepted')
}

describe('readPlan', () => {
  it('reads the file of the issue, with defaults', () => {
    const plan = read(`
playbooks:
  - name: contain-shells
    on: [falco.notice.terminal_shell_in_container, "falco.critical.>"]
    match: { source: syscall, tags: [container], output_fields: { k8s.ns.name: { not: [payments] } } }
    steps:
      - isolate-pod: {}
      - capture-logs:
        timeout: 2m
        continueOnError: true
      - slack: { webhookUrlFile: /etc/slack/url }
  - name: mine
    on: falco.*.my_rule
    steps: [{ module: ./my-playbook.ts, with: { any: thing } }]
`)
    expect(plan).toMatchObject({
      dryRun: true,
      maxActionsPerMinute: 60,
      protectedNamespaces: ['kube-system', 'falco', 'nats'],
    })
    const [first, second] = plan.playbooks
    expect(first).toMatchObject({
      name: 'contain-shells',
      on: ['falco.notice.terminal_shell_in_container', 'falco.critical.>'],
      match: {
        source: ['syscall'],
        tags: ['container'],
        outputFields: { 'k8s.ns.name': { not: ['payments'] } },
      },
      concurrency: 4,
      maxDeliver: 5,
      coolDownMs: 0,
    })
    expect(first?.match).not.toHaveProperty('minPriority')
    expect(
      first?.steps.map(({ step, timeoutMs, continueOnError }) => [
        step.name,
        timeoutMs,
        continueOnError,
      ]),
    ).toEqual([
      ['isolate-pod', 30_000, false],
      ['capture-logs', 120_000, true],
      ['slack', 30_000, false],
    ])
    expect(first?.steps[2]?.params).toEqual({ webhookUrlFile: '/etc/slack/url' })
    expect(second?.on).toEqual(['falco.*.my_rule'])
    expect(second?.steps[0]?.params).toEqual({
      path: '/etc/falco-nats/my-playbook.ts',
      with: { any: 'thing' },
    })
  })

  it('reads what is given', () => {
    const plan = read(`
dryRun: false
maxActionsPerMinute: 5
protectedNamespaces: []
playbooks:
  - name: p
    on: [a, a, b]
    match:
      rule: [R, S]
      priority: Error
      output_fields: { a: x, b: [1, true], c: { in: [y], not: 2 } }
    concurrency: 1
    maxDeliver: 9
    coolDown: 5m
    steps: [{ module: /m.ts }]
`)
    expect(plan).toMatchObject({
      dryRun: false,
      maxActionsPerMinute: 5,
      protectedNamespaces: [],
      playbooks: [
        {
          on: ['a', 'b'],
          match: {
            rule: ['R', 'S'],
            minPriority: 3,
            outputFields: {
              a: { in: ['x'] },
              b: { in: ['1', 'true'] },
              c: { in: ['y'], not: ['2'] },
            },
          },
          concurrency: 1,
          maxDeliver: 9,
          coolDownMs: 300_000,
        },
      ],
    })
    expect(plan.playbooks[0]?.steps[0]?.params).toEqual({ path: '/m.ts' })
  })

  it('follows anchors', () => {
    const plan = read(`
playbooks:
  - { name: a, on: &on [x], steps: [{ slack: &s { webhookUrlFile: f } }] }
  - { name: b, on: *on, steps: [{ slack: *s }] }
`)
    expect(plan.playbooks[1]).toMatchObject({
      on: ['x'],
      steps: [{ params: { webhookUrlFile: 'f' } }],
    })
  })

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
    [
      one('match: { tags: {} }'),
      '4:20: playbooks[0].match.tags: allowed: text, or a list of texts',
    ],
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
    [
      oneStep('delete-pod'),
      /^5:13: playbooks\[0\]\.steps\[0\]: no step; allowed: a map with one of slack, webhook, delete-pod, /,
    ],
    [oneStep('{ timeout: 5s }'), /^5:13: playbooks\[0\]\.steps\[0\]: no step; allowed/],
    [
      oneStep('{ delete-pods: {} }'),
      /^5:15: playbooks\[0\]\.steps\[0\]\.delete-pods: unknown step; allowed: slack, webhook, delete-pod, /,
    ],
    [oneStep('{ __proto__: {} }'), /^5:15: __proto__: allowed for a key: any other text$/],
    [
      one('match: { output_fields: { __proto__: x } }'),
      /__proto__: allowed for a key: any other text$/,
    ],
    [
      oneStep('{ delete-pod: {}, slack: {} }'),
      '5:31: playbooks[0].steps[0].slack: delete-pod is given too; allowed: one step in each',
    ],
    [
      oneStep('{ delete-pod: {}, tiemout: 5s }'),
      '5:31: playbooks[0].steps[0].tiemout: unknown; allowed: delete-pod, timeout, continueOnError',
    ],
    [
      oneStep('{ delete-pod: {}, with: {} }'),
      /steps\[0\]\.with: unknown; allowed: delete-pod, timeout/,
    ],
    [
      oneStep('{ delete-pod: {}, timeout: 0 }'),
      '5:40: playbooks[0].steps[0].timeout: allowed: a duration of more than 0, up to 1h',
    ],
    [
      oneStep('{ delete-pod: {}, timeout: 2h }'),
      /timeout: allowed: a duration such as .* up to 1h$/,
    ],
    [
      oneStep('{ slack: { webhookUrlFile: 7 } }'),
      '5:40: playbooks[0].steps[0].slack.webhookUrlFile: 7 is given; allowed: text',
    ],
    [
      oneStep('{ slack: { webhokUrlFile: a } }'),
      '5:24: playbooks[0].steps[0].slack.webhokUrlFile: unknown; allowed: webhookUrlFile, webhookUrlEnv, channel, text',
    ],
    [
      oneStep('{ slack: }'),
      '5:15: playbooks[0].steps[0].slack: allowed: one of webhookUrlFile and webhookUrlEnv',
    ],
    [
      oneStep('{ slack: [] }'),
      '5:22: playbooks[0].steps[0].slack: a list is given; allowed: a map',
    ],
    [
      oneStep('{ webhook: { url: "ftp://s3cr3t" } }'),
      '5:31: playbooks[0].steps[0].webhook.url: allowed: a URL with https:// or http://',
    ],
    [
      oneStep('{ webhook: { url: "http://h", method: GET } }'),
      '5:51: playbooks[0].steps[0].webhook.method: text is given; allowed: POST, PUT, PATCH',
    ],
    [
      oneStep('{ webhook: { url: "http://h", headers: { "a b": x } } }'),
      '5:54: playbooks[0].steps[0].webhook.headers["a b"]: allowed: the name of a header',
    ],
    [
      oneStep('{ webhook: { url: "http://h", headers: { Expect: x } } }'),
      /headers\.Expect: this header is set by falco-nats itself$/,
    ],
    [
      oneStep('{ module: {} }'),
      '5:23: playbooks[0].steps[0].module: allowed: the path of a module, such as ./mine.ts',
    ],
    [oneStep('{ module: }'), /steps\[0\]\.module: allowed: the path/],
    [
      'playbooks:\n  - { name: a, on: x, steps: [{ delete-pod: }] }\n  - { name: a, on: x, steps: [{ delete-pod: }] }',
      '3:13: playbooks[1].name: playbooks[0] has this name; allowed: a name of its own',
    ],
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

  it.each([
    ['a: [1', /^1:6: Flow sequence/],
    ['a: 1\na: 2', /^2:1: Map keys must be unique$/],
    ['a: *b', /Unresolved alias/],
    ['a: !!js/function x', /Unresolved tag/],
    ['--- 1\n--- 2', /^2:1: Source contains multiple documents/],
    ['? [a]\n: b', /^1:3: allowed for a key: text/],
    ['\tplaybooks: x', /^1:1: /],
    ['a: &a [*a]', /nested more than 64 deep/],
    [`a: ${'['.repeat(100)}${']'.repeat(100)}`, /nested more than 64 deep/],
    ['\x00\u202e: \u0007: x', /^1:/],
  ])('refuses the YAML %j', (text, why) => {
    expect(failure(text)).toMatch(why)
  })

  it('refuses what is nested without end', () => {
    expect(failure(`a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`)).toMatch(/^1:\d+: .*stack/)
  })

  it('refuses an alias bomb at once', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
    for (let n = 1; n < 12; n++)
      lines.push(
        `a${n}: &a${n} [${Array(9)
          .fill(`*a${n - 1}`)
          .join(', ')}]`,
      )
    // It would take days to resolve.
    const start = performance.now()
    expect(failure(lines.join('\n'))).toMatch(/^1:1: Excessive alias count/)
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  it('ends in a plan or in one line, whatever the text', () => {
    const base = one('match: { tags: [x] }')
    fc.assert(
      fc.property(fc.nat(base.length), fc.nat(20), fc.string(), (at, cut, insert) => {
        try {
          expect(read(base.slice(0, at) + insert + base.slice(at + cut)).dryRun).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError)
          expect((error as Error).message).toMatch(/^[ -~]+$/)
        }
      }),
    )
  })
})

describe('singlePlan', () => {
  it('is one dry playbook named like its step', () => {
    const plan = singlePlan('slack', ['falco.a', 'falco.b.>'], [['webhookUrlFile', 'f']], false)
    expect(plan).toMatchObject({
      dryRun: true,
      maxActionsPerMinute: 60,
      playbooks: [{ name: 'slack', on: ['falco.a', 'falco.b.>'], match: {}, coolDownMs: 0 }],
    })
    expect(plan.playbooks[0]?.steps).toMatchObject([
      { params: { webhookUrlFile: 'f' }, timeoutMs: 30_000, continueOnError: false },
    ])
    expect(singlePlan('delete-pod', ['x'], [], true).dryRun).toBe(false)
  })

  it('reads values as YAML has them, and as text where text is wanted', () => {
    const params = (parameters: [string, string][]) =>
      singlePlan('slack', ['x'], [['webhookUrlFile', '7'], ...parameters], false).playbooks[0]
        ?.steps[0]?.params
    expect(params([['channel', 'true']])).toEqual({ webhookUrlFile: '7', channel: 'true' })
    expect(params([['channel', '"a b"']])).toMatchObject({ channel: 'a b' })
    expect(params([['channel', '#c']])).toMatchObject({ channel: '#c' })
    expect(params([['text', '{{ rule }}: *x* # y']])).toMatchObject({ text: '{{ rule }}: *x* # y' })
    const module = singlePlan(
      'module',
      ['x'],
      [
        ['path', './m.ts'],
        ['with', '0x10'],
      ],
      false,
    )
    expect(module.playbooks[0]?.steps[0]?.params).toEqual({
      path: `${process.cwd()}/m.ts`,
      with: 16,
    })
  })

  it.each<[string, string[], [string, string][], RegExp]>([
    [
      'delete-pods',
      ['x'],
      [],
      /^--playbook "delete-pods": unknown step; allowed: slack, webhook, delete-pod/,
    ],
    ['delete-pod', ['a..b'], [], /^--subject "a\.\.b": allowed: a subject/],
    ['delete-pod', ['falco.response.>'], [], /^--subject .*never acted upon$/],
    ['slack', ['x'], [], /^-e: allowed: one of webhookUrlFile and webhookUrlEnv$/],
    ['slack', ['x'], [['url', 'a']], /^-e url: unknown; allowed: webhookUrlFile, /],
    [
      'slack',
      ['x'],
      [
        ['channel', ''],
        ['webhookUrlFile', 'a'],
      ],
      /^-e channel: empty text is given; allowed: at least 1 char/,
    ],
    [
      'slack',
      ['x'],
      [
        ['channel', 'a'],
        ['channel', 'b'],
      ],
      /^-e channel: given twice/,
    ],
    ['webhook', ['x'], [['url', 'http://u:s3cr3t@h']], /^-e url: allowed: a URL without user/],
    [
      'webhook',
      ['x'],
      [
        ['url', 'http://h'],
        ['headers', '{a: b}'],
      ],
      /^-e headers: text is given; allowed: a map$/,
    ],
    ['slack', ['x'], [['__proto__', 'a']], /^-e __proto__: unknown/],
  ])('refuses -p %s -s %j -e %j', (step, subjects, parameters, why) => {
    const plan = () => singlePlan(step, subjects, parameters, false)
    expect(plan).toThrow(UsageError)
    expect(plan).toThrow(why)
    expect(plan).not.toThrow(/\n|s3cr3t/)
  })
})
