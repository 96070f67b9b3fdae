import { describe, expect, it } from 'vitest'
import { PRIORITIES, parseAlert, priorityIndex } from '../../../src/shared/alert/alert.ts'
import { alertLines, realAlertLines } from '../../support/fixtures.ts'

const parse = (text: string | Buffer) => {
  const bytes = Buffer.from(text as string)
  return parseAlert(bytes, 0, bytes.length)
}

describe('parseAlert', () => {
  it('takes every alert of the fixtures', () => {
    for (const line of [...alertLines(), ...realAlertLines()])
      expect(parse(line)).toHaveProperty('rule')
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
