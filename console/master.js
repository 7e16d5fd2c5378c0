const line = document.getElementById("state");

const dataOf = async (path) => {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`the master answered ${response.status}`);
  return (await response.json()).data;
};

try {
  const [health, setup] = await Promise.all([dataOf("/api/health"), dataOf("/api/setup")]);
  const next = setup.needed ? " Its first administrator is still to be made: POST /api/setup." : "";
  line.textContent = `The master is well (release ${health.version}).${next}`;
  line.className = "well";
} catch (error) {
  line.textContent = `The master does not answer: ${error.message}.`;
  line.className = "ill";
}
