import { loadFolder } from '@s4s/sandbox'

interface PatientOfFolder {
  readonly id: string
  readonly identifier?: readonly { readonly value?: string }[]
}

/** The id of the patient whom someone means by an id or by an identifier, such as the one in Synthea's file names. */
export async function patientOf(folder: string, wanted: string): Promise<string> {
  const resources = await loadFolder(folder)
  const patients = resources.filter(
    ({ resourceType }) => resourceType === 'Patient',
  ) as unknown as PatientOfFolder[]
  const found =
    patients.find(({ id }) => id === wanted) ??
    patients.find(({ identifier }) => identifier?.some(({ value }) => value === wanted))
  if (found) return found.id
  const some = patients.slice(0, 10).map(({ id }) => `\n  ${id}`)
  throw new Error(`no patient ${wanted} in ${folder}; there are ${patients.length}, such as${some.join('')}`)
}
