import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fill, fillText, lookUp } from '../../../src/respond/steps/template.ts'

const ALERT = {
  rule: 'Shell',
  time: '2026-08-03T01:14:29.502328455Z',
  tags: ['a', 'b'],
  output_fields: {
    'k8s.pod.name': 'cart-1',
    'k8s.ns.name': null,
    k8s: { pod: { name: 'wrong' }, other: 1 },
    'proc.tty': 0,
    'json.value[/a/b]': 'x',
  },
}

describe('fill', () => {
  it.each([
    ['{{ rule }}', 'Shell'],
    ['{{rule}} at {{  time  }}', 'Shell at 2026-08-03T01:14:29.502328455Z'],
    ['{{ output_fields.k8s.pod.name }}', 'cart-1'],
    ['{{ output_fields.k8s.other }}', 1],
    ['{{ output_fields.json.value[/a/b] }}', 'x'],
    ['{{ output_fields.proc.tty }}', 0],
    ['tty {{ output_fields.proc.tty }}', 'tty 0'],
    ['{{ tags }}', ['a', 'b']],
    ['{{ tags }}!', '["a","b"]!'],
    ['{{ tags.0 }}', 'a'],
    ['{{ output_fields.k8s.ns.name }}', null],
    ['<{{ output_fields.k8s.ns.name }}>', '<>'],
    ['{{ missing }}', ''],
    ['{{ rule.length }}', ''],
    ['{{ }}', ''],
    ['{{ __proto__ }}{{ constructor }}', ''],
    ['{{ constructor }}', ''],
    ['{{ output_fields.__proto__.x }}', ''],
    ['{{ tags.length.constructor }}', ''],
    ['{{ 1 + 1 }}', ''],
    ['{ rule } {{rule', '{ rule } {{rule'],
  ])('fills %j with %j', (template, expected) => {
    expect(fill(template, ALERT)).toEqual(expected)
  })

  it('goes into lists and objects, and leaves keys and other values', () => {
    const template = { '{{ rule }}': ['{{ rule }}', 1, null, true], deep: { tags: '{{ tags }}' } }
    expect(fill(template, ALERT)).toEqual({
      '{{ rule }}': ['Shell', 1, null, true],
      deep: { tags: ['a', 'b'] },
    })
  })

  it('escapes values, not the text around them', () => {
    expect(
      fillText('<!here> {{ rule }}', { rule: '<!channel>' }, (text) => text.replace('<', '&lt;')),
    ).toBe('<!here> &lt;!channel>')
  })

  it('does not fill what it has filled in', () => {
    expect(fill('{{ rule }} x', { rule: '{{ time }}', time: 'secret' })).toBe('{{ time }} x')
  })

  it('leaves what has no places alone, whatever it is, and no prototype is touched', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!text.includes('{{'))
        expect(JSON.stringify(fill(value, ALERT))).toBe(text)
      }),
    )
    const hostile = JSON.parse('{"__proto__":{"polluted":"{{ rule }}"}}')
    expect(JSON.stringify(fill(hostile, ALERT))).toBe('{"__proto__":{"polluted":"Shell"}}')
    expect(({} as { polluted?: string }).polluted).toBeUndefined()
  })

  it('finds only what the alert itself has', () => {
    fc.assert(
      fc.property(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), (path, fields) => {
        const found = lookUp(fields, path)
        expect(typeof found).not.toBe('function')
        if (Object.hasOwn(fields, path) && path !== '') expect(found).toBe(fields[path])
      }),
    )
  })
})
