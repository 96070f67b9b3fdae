import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseRespond } from '../../../src/respond/command-line.ts'
import { loadPlan, protectOurselves, singlePlan } from '../../../src/respond/playbook/plan.ts'
import { UsageError } from '../../../src/shared/errors.ts'
import { failure, one, oneStep, read } from '../../support/plan.ts'
import { tempDir } from '../../support/temp.ts'

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

  it.each([
    [
      oneStep('delete-pod'),
      /^5:13: playbooks\[0\]\.steps\[0\]: no step; allowed: a map with one of slack, webhook, delete-pod, /,
    ],
    [oneStep('{ timeout: 5s }'), /^5:13: playbooks\[0\]\.steps\[0\]: no step; allowed/],
    [
      oneStep('{ delete-pods: {} }'),
      /^5:15: playbooks\[0\]\.steps\[0\]\.delete-pods: unknown step; allowed: slack, webhook, delete-pod, /,
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

afterEach(() => void vi.unstubAllEnvs())

function planOf(...argv: string[]) {
  const invocation = parseRespond(argv, {})
  if (invocation.run === 'print') throw new Error(invocation.text)
  return loadPlan(invocation.config)
}

it('reads the file, and is dry where the file or the option says so', () => {
  using dir = tempDir()
  const file = dir.file('p.yaml')
  const playbooks = 'playbooks: [{ name: p, on: x, steps: [{ module: ./m.ts }] }]'
  writeFileSync(file, playbooks)
  expect(planOf('--config', file)).toMatchObject({
    dryRun: true,
    playbooks: [{ steps: [{ params: { path: dir.file('m.ts') } }] }],
  })
  writeFileSync(file, `dryRun: false\n${playbooks}`)
  expect(planOf('--config', file).dryRun).toBe(false)
  expect(planOf('--config', file, '--dry-run').dryRun).toBe(true)
  expect(planOf('--config', file, '--test', 'a.json').dryRun).toBe(true)
})

it('makes one playbook of the command line', () => {
  const argv = ['-p', 'slack', '-s', 'a,b.>', '-e', 'webhookUrlFile=/f']
  expect(planOf(...argv)).toMatchObject({
    dryRun: true,
    playbooks: [{ name: 'slack', on: ['a', 'b.>'], steps: [{ params: { webhookUrlFile: '/f' } }] }],
  })
  expect(planOf(...argv, '--act').dryRun).toBe(false)
})

it('says in one line which file cannot be used', () => {
  using dir = tempDir()
  for (const [file, why] of [
    [dir.file('none\n.yaml'), /^--config ".*none\\n\.yaml": ENOENT.*; allowed: a file that we may/],
    [dir.path, /EISDIR/],
  ] as const) {
    expect(() => planOf('--config', file)).toThrow(UsageError)
    expect(() => planOf('--config', file)).toThrow(why)
    expect(() => planOf('--config', file)).not.toThrow(/\n/)
  }
})

it('protects the namespace that we run in, once', () => {
  const plan = planOf('-p', 'delete-pod', '-s', 'a')
  const protectedWhen = (own: string | undefined) => {
    vi.stubEnv('POD_NAMESPACE', own)
    return protectOurselves(plan).protectedNamespaces
  }
  expect(protectedWhen('ours')).toEqual([...plan.protectedNamespaces, 'ours'])
  expect(protectedWhen('falco')).toEqual(plan.protectedNamespaces)
  expect(protectedWhen(undefined)).toEqual(plan.protectedNamespaces)
})
