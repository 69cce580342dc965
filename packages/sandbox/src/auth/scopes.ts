const contextScopes: Readonly<Record<string, string>> = {
  openid: 'Know who you are',
  fhirUser: 'Know which person in this hospital’s records you are',
  profile: 'See your profile',
  launch: 'Know what was open when the app was started',
  'launch/patient': 'Know whose record this is',
  'launch/encounter': 'Know which visit this is about',
  offline_access: 'Keep access when you are not there, until you end it',
  online_access: 'Keep access while you are signed in',
}

/** True for a scope that the sandbox can grant: SMART v1 and v2, granular ones, context and identity. */
export function isSmartScope(scope: string): boolean {
  return Object.hasOwn(contextScopes, scope) || resourceScope.test(scope)
}

const resourceScope =
  /^(patient|user|system)\/([A-Za-z]{1,64}|\*)\.(read|write|\*|(?=[cruds])c?r?u?d?s?)(\?\S{1,1024})?$/

// What people call what FHIR has other words for.
const plainNames: Readonly<Record<string, string>> = {
  AllergyIntolerance: 'allergies',
  Binary: 'the files of documents',
  Condition: 'health problems and diagnoses',
  DiagnosticReport: 'test reports',
  DocumentReference: 'notes and documents',
  Encounter: 'visits and stays',
  Immunization: 'vaccinations',
  MedicationRequest: 'prescriptions',
  Observation: 'lab results, vital signs and other findings',
  Patient: 'name, date of birth and address',
  Procedure: 'operations and procedures',
  ServiceRequest: 'orders and referrals',
}

/** A scope in words for the person who is asked. */
export function describeScope(scope: string): string {
  if (Object.hasOwn(contextScopes, scope)) return contextScopes[scope] as string
  const [, level = '', type = '', actions = '', query] = resourceScope.exec(scope) ?? []
  const whose =
    level === 'patient' ? 'this record' : level === 'user' ? 'the records you may see' : 'all records'
  const writes = actions === '*' || actions === 'write' || /[cud]/.test(actions.replace('read', ''))
  const what = type === '*' ? 'everything' : (plainNames[type] ?? words(type))
  const only = query === undefined ? '' : `, only ${query.split('&').map(lastWord).join(' and ')}`
  return `${writes ? 'Read and change' : 'Read'} ${what} in ${whose}${only}`
}

/** Scopes that are of no use without one another stay ticked: who it is about is not the person’s to leave out. */
export function isFixedScope(scope: string): boolean {
  return scope.startsWith('launch') || scope === 'openid' || scope === 'fhirUser'
}

// `category=http://…|vital-signs` is about vital signs.
function lastWord(parameter: string): string {
  return decoded(parameter).split(/[|=]/).at(-1)?.replaceAll('-', ' ') ?? ''
}

// A scope is what some app sent: it may hold a percent sign that escapes nothing.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function words(type: string): string {
  const spaced = type.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
  return spaced.endsWith('y') ? `${spaced.slice(0, -1)}ies` : `${spaced}s`
}
