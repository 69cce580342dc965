import { usCore } from '@s4s/core'
import type { ArgsDef, CommandDef } from 'citty'
import { addressOf } from './address.js'
import { printJson, printRows } from './output.js'
import { type Survey, survey } from './survey.js'
import { checkTyped, outputOf } from './typed.js'

/** The address of a server, which several commands begin with. */
export const urlOption: ArgsDef = {
  url: { type: 'positional', description: 'A FHIR base, or a page near it' },
}
const options: ArgsDef = { ...urlOption, json: { type: 'boolean', description: 'Print JSON' } }

/** `s4s discover`: what a server says about signing in. */
export const discover: CommandDef = {
  meta: { name: 's4s discover', description: 'Show what a server publishes for apps that sign in' },
  args: options,
  async run(typed) {
    checkTyped(typed, options)
    const found = await reached(String(typed.args.url))
    const output = outputOf(typed)
    const facts = factsOf(found)
    if (typed.args.json) return printJson(output, facts)
    const { configuration, ...rest } = facts
    printRows(
      output,
      Object.entries({ ...rest, ...configuration }).flatMap(([name, value]) => rowsOf(name, value)),
    )
  },
}

/** A server that can be connected. @throws UsageError for an address that is none, Error with the fault as a sentence */
export async function reached(url: string): Promise<Survey & Required<Pick<Survey, 'outlook'>>> {
  const found = await survey(addressOf(url), usCore)
  const { outlook, fault } = found
  if (!outlook) throw new Error(`${fault?.sentence}. ${fault?.remedy}`)
  return { ...found, outlook }
}

function factsOf({ base, vendor, statement, outlook }: Survey & Required<Pick<Survey, 'outlook'>>) {
  const version = statement?.fhirVersion
  return {
    base,
    ...(typeof version === 'string' ? { fhirVersion: version } : {}),
    ...(vendor ? { vendor: vendor.id } : {}),
    configuration: outlook.configuration,
  }
}

const rowsOf = (name: string, value: unknown): string[][] =>
  Array.isArray(value)
    ? value.map((one) => [name, typeof one === 'object' ? JSON.stringify(one) : String(one)])
    : [[name, String(value)]]
