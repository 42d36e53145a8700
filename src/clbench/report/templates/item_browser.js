(function () {
  "use strict";
  var place = document.getElementById("item-browser"), source = document.getElementById("item-data");
  if (!place || !source) { return; }
  var data = JSON.parse(source.textContent), t = data.texts, shown = [], current = 0;

  function make(tag, text, attributes) {
    var made = document.createElement(tag);
    if (text !== undefined && text !== null) { made.textContent = text; }
    Object.keys(attributes || {}).forEach(function (name) { made.setAttribute(name, attributes[name]); });
    return made;
  }
  function fill(text, values) {
    return text.replace(/\{(\w+)\}/g, function (all, name) { return values[name]; });
  }
  function choice(label, options) {
    var box = make("select");
    options.forEach(function (option) { box.appendChild(make("option", option[1], { value: option[0] })); });
    var line = make("label", label + " ");
    line.appendChild(box);
    form.appendChild(line);
    return box;
  }

  var form = make("form", null, { "aria-label": t.list });
  var fate = choice(t.fate, [["", t.all], ["f", t.f], ["l", t.l], ["n", t.n], ["c", t.c]]);
  var method = choice(t.method, [["", t.all]].concat(data.methods.map(function (name, k) { return [k, name]; })));
  var exam = choice(t.exam, [["", t.all], ["task", t.task], ["ability", t.ability]].concat(
    data.exams.map(function (each, k) { return [k, each[0]]; })));
  var search = make("input", null, { type: "search", autocomplete: "off" });
  var line = make("label", t.search + " ");
  line.appendChild(search);
  form.appendChild(line);
  var count = make("p", null, { role: "status", "class": "note" });
  var list = make("div", null, { role: "listbox", tabindex: "0", "aria-label": t.list, "class": "item-list" });
  var detail = make("div", null, { "class": "item-detail", "aria-live": "polite" });
  var panes = make("div", null, { "class": "item-panes" });
  panes.appendChild(list);
  panes.appendChild(detail);
  [form, count, panes].forEach(function (part) { place.appendChild(part); });

  var haystacks = data.items.map(function (item) {
    var said = item[4].map(function (row) {
      return row[3].map(function (k) { return k < 0 ? "" : data.answers[k]; }).join("\n");
    });
    return [item[1], item[2], item[3]].concat(said).join("\n").toLowerCase();
  });
  function hasFate(item) {
    return item[4].some(function (row) {
      return (!method.value || row[0] === +method.value) && (fate.value ? row[1].indexOf(fate.value) >= 0 : row[1]);
    });
  }
  function inExam(item) {
    var taught = data.exams[item[0]][1] > 0;
    return !exam.value || (exam.value === "task" ? taught : exam.value === "ability" ? !taught : item[0] === +exam.value);
  }
  function filter() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = [];
    data.items.forEach(function (item, k) {
      var fits = words.every(function (word) { return haystacks[k].indexOf(word) >= 0; });
      if (fits && inExam(item) && hasFate(item)) { shown.push(k); }
    });
    count.textContent = fill(t.count, { shown: shown.length, total: data.items.length });
    list.textContent = "";
    shown.forEach(function (k, n) {
      var item = data.items[k], option = make("div", null, { role: "option", id: "item-" + k, "aria-selected": "false" });
      option.appendChild(make("small", data.exams[item[0]][0] + " · " + item[1]));
      option.appendChild(make("span", item[2].trim().split("\n").pop()));
      option.addEventListener("click", function () { select(n); });
      list.appendChild(option);
    });
    select(0);
  }
  function select(n) {
    detail.textContent = "";
    if (!shown.length) { list.removeAttribute("aria-activedescendant"); detail.appendChild(make("p", t.none)); return; }
    current = Math.max(0, Math.min(n, shown.length - 1));
    Array.prototype.forEach.call(list.children, function (option, k) {
      option.setAttribute("aria-selected", k === current ? "true" : "false");
    });
    var option = list.children[current];
    list.setAttribute("aria-activedescendant", option.id);
    if (option.offsetTop < list.scrollTop) { list.scrollTop = option.offsetTop; }
    var below = option.offsetTop + option.offsetHeight - list.clientHeight;
    if (below > list.scrollTop) { list.scrollTop = below; }
    show(data.items[shown[current]]);
  }
  function show(item) {
    var about = data.exams[item[0]], lessons = about[2];
    detail.appendChild(make("h3", about[0] + " · " + item[1]));
    detail.appendChild(make("p", t.question, { "class": "note" }));
    detail.appendChild(make("pre", item[2], { tabindex: "0" }));
    var due = make("p", t.expected + " ");
    due.appendChild(make("strong", item[3] || "–"));
    detail.appendChild(due);
    var head = make("tr"), body = make("tbody"), table = make("table", null, { "class": "answers" });
    head.appendChild(make("th", t.method, { scope: "col" }));
    lessons.forEach(function (lesson) {
      var own = lesson > 0 && lesson === about[1];
      var cell = make("th", lesson ? lesson + (own ? " *" : "") : t.untouched, { scope: "col" });
      if (own) { cell.title = t.own; }
      head.appendChild(cell);
    });
    item[4].forEach(function (row) { body.appendChild(line_of(row)); });
    var top = make("thead"), wide = make("div", null, { "class": "wide", tabindex: "0" });
    top.appendChild(head);
    table.appendChild(top);
    table.appendChild(body);
    wide.appendChild(table);
    detail.appendChild(wide);
    if (about[1]) { detail.appendChild(make("p", "* " + t.own, { "class": "note" })); }
  }
  function line_of(row) {
    var line = make("tr"), name = make("th", data.methods[row[0]], { scope: "row" });
    row[1].split("").forEach(function (letter) {
      if (letter !== "c" || row[1] === "c") { name.appendChild(make("small", t[letter])); }
    });
    line.appendChild(name);
    row[2].forEach(function (score, k) {
      if (score === -1) { line.appendChild(make("td")); return; }
      var said = row[3][k] < 0 ? t.not_at_hand : data.answers[row[3][k]];
      var kind = score === null ? "ungraded" : score === 1 ? "right" : score === 0 ? "wrong" : "part";
      var mark = kind === "part" ? Math.round(100 * score) + " %" : t[kind];
      var cell = make("td", null, { "class": kind });
      cell.appendChild(make("small", mark));
      cell.appendChild(make("span", said || "–"));
      line.appendChild(cell);
    });
    return line;
  }
  function moved(key) {
    return { ArrowDown: current + 1, j: current + 1, ArrowUp: current - 1, k: current - 1, Home: 0, End: shown.length,
             PageDown: current + 10, PageUp: current - 10 }[key];
  }
  list.addEventListener("keydown", function (event) {
    var to = moved(event.key);
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) { return; }
    event.preventDefault();
    select(to);
  });
  document.addEventListener("keydown", function (event) {
    var typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    }
  });
  search.addEventListener("keydown", function (event) {
    if (event.key === "Escape") { search.value = ""; filter(); list.focus(); }
    if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); list.focus(); }
  });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("input", filter);
  filter();
  place.hidden = false;
})();
