// slack: posts a message to an incoming webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat).

import { z } from 'zod'
import { priorityIndex } from '../../shared/alert/alert.ts'
import { nodeOf, podOf } from '../kubernetes/target.ts'
import { deliver, readSecretUrl, secretUrl } from './http.ts'
import { defineStep, type StepContext, StepError } from './step.ts'
import { fillText } from './template.ts'

/** By index of priority. */
const EMOJI = [
  ':rotating_light:',
  ':rotating_light:',
  ':rotating_light:',
  ':red_circle:',
  ':warning:',
  ':large_blue_circle:',
  ':information_source:',
  ':mag:',
]
/** Slack cuts messages at 40,000 characters; people stop before. */
const OUTPUT_MAX = 3000

export const slack = defineStep({
  name: 'slack',
  params: z
    .strictObject({
      webhookUrlFile: z.string().min(1).optional().describe('or `webhookUrlEnv`'),
      /** The name of a variable: the URL is a secret, and never in the file. */
      webhookUrlEnv: z
        .string()
        .regex(/^[A-Za-z_]\w*$/, 'allowed: the name of an environment variable')
        .optional(),
      channel: z.string().min(1).optional(),
      /** With templates. Slack's own markup works in it; in what is filled in it does not. */
      text: z.string().min(1).optional(),
    })
    .refine(
      ({ webhookUrlFile, webhookUrlEnv }) =>
        (webhookUrlFile === undefined) !== (webhookUrlEnv === undefined),
      'allowed: one of webhookUrlFile and webhookUrlEnv',
    ),
  async run(params, { alert, id, subject, playbook, dryRun, signal }) {
    const { webhookUrlFile: file, webhookUrlEnv: name } = params
    const url = file ? await readSecretUrl('webhookUrlFile', file, signal) : urlFromEnv(name!)
    const fields = { ...alert, id, subject, playbook }
    const body = JSON.stringify({
      text: params.text ? fillText(params.text, fields, escaped) : defaultText(alert),
      ...(params.channel && { channel: params.channel }),
      // A URL in an alert may be an attacker's: Slack must not fetch it to show what is there.
      unfurl_links: false,
      unfurl_media: false,
    })
    return deliver({ url, method: 'POST', body, signal }, dryRun)
  },
})

function urlFromEnv(name: string): URL {
  const url = process.env[name]
  if (!url) throw new StepError(`webhookUrlEnv: ${name} is not set`, { retryable: false })
  return secretUrl(url, `webhookUrlEnv: ${name}`)
}

/** Priority and rule, what happened, and where. */
function defaultText(alert: StepContext['alert']): string {
  const { priority, rule, output } = alert
  const emoji = EMOJI[priorityIndex(priority) ?? -1] ?? ':grey_question:'
  const pod = podOf(alert)
  const node = nodeOf(alert)
  const where = [pod && `pod ${pod.namespace}/${pod.name}`, node && `node ${node}`]
  const lines = [
    `${emoji} *${escaped(priority)}* ${escaped(rule)}`,
    typeof output === 'string' && output !== '' && `\`\`\`${quoted(output)}\`\`\``,
    escaped(where.filter(Boolean).join(', ')),
  ]
  return lines.filter(Boolean).join('\n')
}

/** Within three backticks, which it must not close. */
function quoted(output: string): string {
  const text = [...output.slice(0, 2 * OUTPUT_MAX)].slice(0, OUTPUT_MAX).join('')
  return escaped((text.length < output.length ? `${text}…` : text).replaceAll('```', "'''"))
}

/** As Slack wants it: so nothing in an alert is a mention, a link or a command, or turns text around. */
function escaped(text: string): string {
  return text
    .replace(/[\p{Bidi_Control}\p{Cc}]/gu, (char) => (char === '\n' ? char : '\ufffd'))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
}
