// kubectl, if there is one.

import { spawnSync } from 'node:child_process'

export const kubectl = process.env.KUBECTL ?? 'kubectl'
export const hasKubectl = spawnSync(kubectl, ['version', '--client']).status === 0
if (!hasKubectl) console.info('skipped: what needs kubectl, since there is none')
