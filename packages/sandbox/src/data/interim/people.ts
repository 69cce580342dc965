import { type Code, concept, cvx, icd10, rxnorm, snomed } from './codes.js'

/** One of the built-in people, as the sign-in page lists them. */
export interface Person {
  readonly id: string
  readonly name: string
  /** A FHIR date. */
  readonly birthDate: string
  readonly gender: string
  readonly description: string
}

/** What a person's record is made of. The generator fills in the years. */
export interface Story extends Person {
  readonly given: readonly string[]
  readonly family: string
  readonly race: Code
  readonly ethnicity: Code
  readonly height: number
  readonly weight: number
  readonly pressure: readonly [systolic: number, diastolic: number]
  readonly smoking: Code
  readonly problems: readonly Problem[]
  readonly medicines: readonly Medicine[]
  readonly allergies: readonly Allergy[]
  readonly vaccines: readonly Code[]
  readonly procedures: readonly { readonly code: Code; readonly year: number }[]
  /** The first year with a visit, and visits in each year from then on. */
  readonly since: number
  readonly visitsPerYear: number
  /** Laboratory panels are drawn at every how manyth visit; 0 for never. */
  readonly panelEvery: number
  /** Whether there are documents, orders, plans and all the rest. */
  readonly rich: boolean
  readonly diabetic?: boolean
  readonly pregnant?: boolean
  /** Heart rates of a home monitor. */
  readonly monitorReadings?: number
  /** The id of the parent who may act for this person. */
  readonly parent?: string
}

interface Problem {
  readonly code: Code
  readonly icd: Code
  readonly since: number
  readonly resolved?: number
}

interface Medicine {
  readonly code: Code
  readonly dose: string
  readonly since: number
  /** How the request names the medicine. */
  readonly as: 'code' | 'reference' | 'contained'
}

interface Allergy {
  readonly code: Code
  readonly reaction: Code
  readonly medicine: boolean
  readonly severe: boolean
}

const omb = (code: string, display: string): Code => ({
  system: 'urn:oid:2.16.840.1.113883.6.238',
  code,
  display,
})
const never = snomed('266919005', 'Never smoked tobacco')
const former = snomed('8517006', 'Ex-smoker')
const notHispanic = omb('2186-5', 'Not Hispanic or Latino')
const hispanic = omb('2135-2', 'Hispanic or Latino')

const hypertension = {
  code: snomed('38341003', 'Hypertensive disorder'),
  icd: icd10('I10', 'Essential (primary) hypertension'),
}
const diabetes = {
  code: snomed('44054006', 'Type 2 diabetes mellitus'),
  icd: icd10('E11.9', 'Type 2 diabetes mellitus without complications'),
}
const asthma = {
  code: snomed('195967001', 'Asthma'),
  icd: icd10('J45.909', 'Unspecified asthma, uncomplicated'),
}

const metformin = rxnorm('860975', '24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet')
const lisinopril = rxnorm('314076', 'lisinopril 10 MG Oral Tablet')
const atorvastatin = rxnorm('617310', 'atorvastatin 20 MG Oral Tablet')
const _albuterol = rxnorm('745752', 'albuterol 0.09 MG/ACTUAT Metered Dose Inhaler')
const apixaban = rxnorm('1364445', 'apixaban 5 MG Oral Tablet')

const influenza = cvx('158', 'influenza, injectable, quadrivalent')
const tdap = cvx('115', 'Tdap')
const covid = cvx('208', 'COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose')
const mmr = cvx('03', 'MMR')
const dtap = cvx('20', 'DTaP')
const varicella = cvx('21', 'varicella')
const pneumococcal = cvx('216', 'Pneumococcal conjugate vaccine 20-valent (PCV20)')

const penicillin: Allergy = {
  code: snomed('91936005', 'Allergy to penicillin'),
  reaction: snomed('247472004', 'Hives'),
  medicine: true,
  severe: false,
}
const peanut: Allergy = {
  code: snomed('91935009', 'Allergy to peanut'),
  reaction: snomed('39579001', 'Anaphylaxis'),
  medicine: false,
  severe: true,
}

/** The built-in people. None of them exists. */
export const stories: readonly Story[] = [
  {
    id: 'camila',
    name: 'Camila Reyes',
    given: ['Camila', 'Inés'],
    family: 'Reyes',
    birthDate: '1974-03-19',
    gender: 'female',
    description: 'diabetes and high blood pressure',
    race: omb('2106-3', 'White'),
    ethnicity: hispanic,
    height: 163,
    weight: 81,
    pressure: [138, 84],
    smoking: former,
    problems: [
      { ...diabetes, since: 2016 },
      { ...hypertension, since: 2014 },
      {
        code: snomed('55822004', 'Hyperlipidemia'),
        icd: icd10('E78.5', 'Hyperlipidemia, unspecified'),
        since: 2017,
      },
    ],
    medicines: [
      { code: metformin, dose: 'Take 1 tablet twice a day with meals', since: 2016, as: 'reference' },
      { code: lisinopril, dose: 'Take 1 tablet once a day', since: 2014, as: 'code' },
      { code: atorvastatin, dose: 'Take 1 tablet in the evening', since: 2017, as: 'contained' },
    ],
    allergies: [penicillin],
    vaccines: [influenza, covid, tdap],
    procedures: [{ code: snomed('73761001', 'Colonoscopy'), year: 2021 }],
    since: 2019,
    visitsPerYear: 3,
    panelEvery: 2,
    rich: true,
    diabetic: true,
  },
  {
    id: 'mia',
    name: 'Mia Okafor',
    given: ['Mia'],
    family: 'Okafor',
    birthDate: '2018-01-08',
    gender: 'female',
    description: 'a healthy child, with a parent who may act for her',
    race: omb('2054-5', 'Black or African American'),
    ethnicity: notHispanic,
    height: 128,
    weight: 26,
    pressure: [98, 62],
    smoking: never,
    problems: [],
    medicines: [],
    allergies: [peanut],
    vaccines: [dtap, mmr, varicella, influenza],
    procedures: [],
    since: 2023,
    visitsPerYear: 1,
    panelEvery: 0,
    rich: true,
    parent: 'elena',
  },
  {
    id: 'elena',
    name: 'Elena Okafor',
    given: ['Elena'],
    family: 'Okafor',
    birthDate: '1991-11-02',
    gender: 'female',
    description: 'expecting a child; Mia’s mother',
    race: omb('2106-3', 'White'),
    ethnicity: notHispanic,
    height: 170,
    weight: 68,
    pressure: [112, 70],
    smoking: never,
    problems: [
      {
        code: snomed('77386006', 'Pregnant'),
        icd: icd10('Z33.1', 'Pregnant state, incidental'),
        since: 2026,
      },
    ],
    medicines: [
      {
        code: rxnorm('904420', 'folic acid 0.4 MG Oral Tablet'),
        dose: 'Take 1 tablet once a day',
        since: 2025,
        as: 'code',
      },
    ],
    allergies: [],
    vaccines: [influenza, tdap],
    procedures: [{ code: snomed('268445003', 'Ultrasound scan - obstetric'), year: 2026 }],
    since: 2024,
    visitsPerYear: 3,
    panelEvery: 2,
    rich: true,
    pregnant: true,
  },
  {
    id: 'walter',
    name: 'Walter Haugen',
    given: ['Walter', 'Edvard'],
    family: 'Haugen',
    birthDate: '1944-07-30',
    gender: 'male',
    description: 'many years, many visits',
    race: omb('2106-3', 'White'),
    ethnicity: notHispanic,
    height: 178,
    weight: 88,
    pressure: [142, 78],
    smoking: former,
    problems: [
      { ...hypertension, since: 1998 },
      {
        code: snomed('49436004', 'Atrial fibrillation'),
        icd: icd10('I48.91', 'Unspecified atrial fibrillation'),
        since: 2018,
      },
      { ...asthma, since: 1960, resolved: 1985 },
      {
        code: snomed('239873007', 'Osteoarthritis of knee'),
        icd: icd10('M17.9', 'Osteoarthritis of knee, unspecified'),
        since: 2009,
      },
    ],
    medicines: [
      { code: lisinopril, dose: 'Take 1 tablet once a day', since: 1998, as: 'reference' },
      { code: apixaban, dose: 'Take 1 tablet twice a day', since: 2018, as: 'code' },
      { code: atorvastatin, dose: 'Take 1 tablet in the evening', since: 2005, as: 'reference' },
    ],
    allergies: [penicillin],
    vaccines: [influenza, pneumococcal, covid],
    procedures: [
      { code: snomed('609588000', 'Total knee replacement'), year: 2015 },
      { code: snomed('18286008', 'Catheter ablation of tissue of heart'), year: 2019 },
    ],
    since: 2008,
    visitsPerYear: 6,
    panelEvery: 1,
    rich: true,
  },
  {
    id: 'noor',
    name: 'Noor Haddad',
    given: ['Noor'],
    family: 'Haddad',
    birthDate: '2001-05-23',
    gender: 'male',
    description: 'next to nothing on file',
    race: omb('2106-3', 'White'),
    ethnicity: notHispanic,
    height: 181,
    weight: 74,
    pressure: [118, 74],
    smoking: never,
    problems: [],
    medicines: [],
    allergies: [],
    vaccines: [],
    procedures: [],
    since: 2026,
    visitsPerYear: 1,
    panelEvery: 0,
    rich: false,
  },
  {
    id: 'omar',
    name: 'Omar Lindqvist',
    given: ['Omar'],
    family: 'Lindqvist',
    birthDate: '1966-09-14',
    gender: 'male',
    description: 'a home monitor with 20,000 readings',
    race: omb('2106-3', 'White'),
    ethnicity: notHispanic,
    height: 176,
    weight: 84,
    pressure: [134, 82],
    smoking: former,
    problems: [{ ...hypertension, since: 2012 }],
    medicines: [{ code: lisinopril, dose: 'Take 1 tablet once a day', since: 2012, as: 'code' }],
    allergies: [],
    vaccines: [influenza],
    procedures: [],
    since: 2022,
    visitsPerYear: 2,
    panelEvery: 1,
    rich: true,
    monitorReadings: 20_000,
  },
]

/** The people as the sign-in page lists them. */
export const people: readonly Person[] = stories.map(({ id, name, birthDate, gender, description }) => ({
  id,
  name,
  birthDate,
  gender,
  description,
}))

/** The concept of a story's problem: SNOMED CT first, ICD-10-CM beside it. */
export const problemConcept = ({ code, icd }: Problem): ReturnType<typeof concept> => concept(code, icd)
