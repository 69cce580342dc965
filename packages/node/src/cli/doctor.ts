import type { ArgsDef, CommandDef } from 'citty'
import { addressOf } from './address.js'
import { addressChecks, type Finding, findingsOf, signInChecks } from './checks.js'
import { urlOption } from './discover.js'
import { printJson, printRows } from './output.js'
import { planOf, planOption } from './plans.js'
import { planFindings, serverChecks, vendorFindings } from './record-checks.js'
import { survey } from './survey.js'
import { checkTyped, outputOf } from './typed.js'

const options: ArgsDef = {
  ...urlOption,
  ...planOption,
  json: { type: 'boolean', description: 'Print JSON' },
}

/** `s4s doctor`: what a server supports, what will fail and why. */
export const doctor: CommandDef = {
  meta: {
    name: 's4s doctor',
    description: 'Say what a server supports, what will fail and why; fails where connecting would',
  },
  args: options,
  async run(typed) {
    checkTyped(typed, options)
    const asked = String(typed.args.url)
    const plan = planOf(typed)
    const seen = await survey(addressOf(asked), plan)
    const { fault, outlook, statement, vendor, base } = seen
    const findings: readonly Finding[] = [
      ...(fault ? [{ ...fault, level: 'problem' as const, sentence: `${capital(fault.sentence)}.` }] : []),
      ...findingsOf(addressChecks, { ...seen, asked }),
      ...(outlook
        ? findingsOf(signInChecks, { ...seen, outlook, configuration: outlook.configuration })
        : []),
      // Of a server that nobody reached there is nothing to tell.
      ...(outlook || statement ? findingsOf(serverChecks, { statement, plan }) : []),
      ...planFindings({ statement, plan }),
      ...vendorFindings(vendor),
    ]
    const connects = findings.every(({ level }) => level !== 'problem')
    const output = outputOf(typed)
    if (typed.args.json)
      printJson(output, { base, ...(vendor ? { vendor: vendor.id } : {}), connects, findings })
    else
      printRows(
        output,
        findings.map(({ level, sentence, remedy = '' }) => [level, `${sentence} ${remedy}`.trim()]),
      )
    return connects
  },
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
