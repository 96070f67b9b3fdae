import { describe, expect, it } from 'vitest'
import { PRIORITIES, parseAlert, priorityIndex, unglue } from '../../../src/shared/alert/alert.ts'
import { alertLines } from '../../support/fixtures.ts'

const parse = (text: string | Buffer) => {
  const bytes = Buffer.from(text as string)
  return parseAlert(bytes, 0, bytes.length)
}

const ungluedTexts = (text: string) => {
  const bytes = Buffer.from(`ab${text}cd`)
  return unglue(bytes, 2, bytes.length - 2)?.map(({ start, end, found }) => [
    bytes.toString('utf8', start, end),
    typeof found === 'string' ? found : 'alert',
  ])
}

const ALERT = '{"priority":"Notice","rule":"r"}'

describe('parseAlert', () => {
  it('takes every alert of the fixtures', () => {
    for (const line of alertLines()) expect(parse(line)).toHaveProperty('rule')
  })

  it.each([
    ['not JSON', 'hello', 'invalid_json'],
    ['cut short', '{"priority":"Notice","rule":"r"', 'invalid_json'],
    ['an array', '[{"priority":"Notice","rule":"r"}]', 'not_an_alert'],
    ['a number', '42', 'not_an_alert'],
    ['null', 'null', 'not_an_alert'],
    ['a string', '"priority rule"', 'not_an_alert'],
    ['an empty object', '{}', 'not_an_alert'],
    ['no rule', '{"priority":"Notice"}', 'not_an_alert'],
    ['no priority', '{"rule":"r"}', 'not_an_alert'],
    ['an empty rule', '{"priority":"Notice","rule":""}', 'not_an_alert'],
    ['an empty priority', '{"priority":"","rule":"r"}', 'not_an_alert'],
    ['a rule that is a number', '{"priority":"Notice","rule":1}', 'not_an_alert'],
    [
      'rule and priority only inside output_fields',
      '{"output_fields":{"priority":"Notice","rule":"r"}}',
      'not_an_alert',
    ],
  ])('rejects %s', (_, text, reason) => {
    expect(parse(text)).toBe(reason)
  })

  it('takes the top-level rule, not one that the fields imitate', () => {
    const text =
      '{"output_fields":{"rule":"fake","x":"\\"rule\\":\\"fake\\""},"priority":"Error","rule":"real"}'
    expect(parse(text)).toMatchObject({ rule: 'real', priority: 'Error' })
  })

  it('undoes JSON escapes in the names', () => {
    expect(parse('{"priority":"Not\\u0069ce","rule":"a\\/b\\u00e9"}')).toMatchObject({
      priority: 'Notice',
      rule: 'a/bé',
    })
  })

  it('does not mind bytes that are not UTF-8', () => {
    const line = Buffer.concat([
      Buffer.from('{"x":"'),
      Buffer.from([0xff, 0xc3]),
      Buffer.from('","priority":"Notice","rule":"r"}'),
    ])
    expect(parse(line)).toMatchObject({ rule: 'r' })
  })
})

describe('unglue', () => {
  it.each([
    ['a fragment before it', `{"hostname":"a","outp${ALERT}`, ['{"hostname":"a","outp', ALERT]],
    ['a fragment that ends in an escape', `{"a":"x\\${ALERT}`, ['{"a":"x\\', ALERT]],
    ['a fragment that ends in a quote', `{"a":"${ALERT}`, ['{"a":"', ALERT]],
    ['text before it', `ok${ALERT}`, ['ok', ALERT]],
    ['two whole alerts', `${ALERT}${ALERT}`, [ALERT, ALERT]],
    ['two fragments before it', `{"a{"b":{${ALERT}`, ['{"a{"b":{', ALERT]],
    ['blanks around it', `{"a" ${ALERT} \t`, ['{"a"', ALERT]],
  ])('finds the alert with %s', (_, text, texts) => {
    expect(ungluedTexts(text)?.map(([piece]) => piece)).toEqual(texts)
  })

  it('is not misled by braces, quotes and backslashes in the values of the alert', () => {
    const alert =
      '{"output":"}{\\"}\\\\","f":{"a":{"b":"{{"}},"priority":"Notice","rule":"\\\\\\"{"}'
    expect(ungluedTexts(`{"x":"}}${alert}`)).toEqual([
      ['{"x":"}}', 'invalid_json'],
      [alert, 'alert'],
    ])
  })

  it('keeps an alert that something else than an alert follows', () => {
    expect(ungluedTexts(`${ALERT}{"x":1}`)).toEqual([
      [ALERT, 'alert'],
      ['{"x":1}', 'not_an_alert'],
    ])
  })

  it('tells once of many objects that are no alert', () => {
    expect(ungluedTexts(`{}{}{"x":1}${ALERT}{}{}`)).toEqual([
      ['{}{}{"x":1}', 'not_an_alert'],
      [ALERT, 'alert'],
      ['{}{}', 'not_an_alert'],
    ])
  })

  it.each([['hello'], ['hello}'], ['}}}'], ['{{{{'], ['log: {"a":1}'], ['{"a":"}'], ['']])(
    'finds nothing in %j',
    (text) => {
      expect(ungluedTexts(text)).toBeUndefined()
    },
  )

  it('stays linear in a line made of braces', () => {
    const bytes = Buffer.from('{"'.repeat(250_000) + '}'.repeat(500_000))
    const startedAt = performance.now()
    expect(unglue(bytes, 0, bytes.length)).toBeUndefined()
    // A quadratic search would take minutes.
    expect(performance.now() - startedAt).toBeLessThan(20_000)
  })
})

describe('priorityIndex', () => {
  it('knows the eight in any case, and info', () => {
    PRIORITIES.forEach((name, index) => {
      for (const text of [name, name.toUpperCase(), name[0]!.toUpperCase() + name.slice(1)])
        expect(priorityIndex(text)).toBe(index)
    })
    expect(priorityIndex('info')).toBe(PRIORITIES.indexOf('informational'))
    expect(priorityIndex('Severe')).toBeUndefined()
  })
})
