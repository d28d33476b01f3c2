package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"github.com/patchcycle/patchcycle/worker/engine"
)

// A second engine serves as the cluster of somebody else: its product token
// may run workflows and may not make namespaces.
func TestAnExternalClusterIsUsedAsItsAdministratorMadeIt(t *testing.T) {
	cluster := newTown(t, engine.Options{})
	at := &engine.External{Address: cluster.Addr(), Token: cluster.product}
	t.Run("with namespace and search attributes it serves", func(t *testing.T) {
		e := startEngine(t, engine.Options{External: at, SearchAttributes: map[string]enums.IndexedValueType{"PcCycle": enums.INDEXED_VALUE_TYPE_KEYWORD}})
		require.Equal(t, cluster.Addr(), e.Addr())
		require.Nil(t, e.UIHandler())
		run, err := e.Client().ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "test"}, "Cycle")
		require.NoError(t, err)
		require.NoError(t, e.Client().SignalWorkflow(t.Context(), run.GetID(), "", "stop", "done"))
		require.NoError(t, run.Get(t.Context(), nil))
	})
	t.Run("without search attributes it says what to run", func(t *testing.T) {
		requireNoStart(t, engine.Options{External: at, SearchAttributes: map[string]enums.IndexedValueType{
			"PcCycle": enums.INDEXED_VALUE_TYPE_KEYWORD, "PcFailed": enums.INDEXED_VALUE_TYPE_INT,
		}}, "administrator", "temporal operator search-attribute create --address "+cluster.Addr()+" --namespace patchcycle --name PcFailed --type Int")
	})
	t.Run("without the namespace it says what to run", func(t *testing.T) {
		requireNoStart(t, engine.Options{Namespace: "absent", External: at, SearchAttributes: map[string]enums.IndexedValueType{
			"PcCycle": enums.INDEXED_VALUE_TYPE_KEYWORD,
		}},
			"temporal operator namespace create --address "+cluster.Addr()+" --namespace absent --retention 2160h",
			"temporal operator search-attribute create --address "+cluster.Addr()+" --namespace absent --name PcCycle --type Keyword")
	})
	t.Run("with a search attribute of another type it says which", func(t *testing.T) {
		requireNoStart(t, engine.Options{External: at, SearchAttributes: map[string]enums.IndexedValueType{"PcDue": enums.INDEXED_VALUE_TYPE_INT}},
			"search attribute PcDue", "is a Datetime and must be a Int")
	})
	t.Run("with a wrong token it says so", func(t *testing.T) {
		requireNoStart(t, engine.Options{External: &engine.External{Address: cluster.Addr(), Token: wrong}}, cluster.Addr(), "revoked")
	})
}

// planted is a cluster that answers as a test wants.
type planted struct {
	workflowservice.UnimplementedWorkflowServiceServer
	operatorservice.UnimplementedOperatorServiceServer
	namespace *workflowservice.DescribeNamespaceResponse
	signal    error
}

func (p *planted) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{Capabilities: &workflowservice.GetSystemInfoResponse_Capabilities{}}, nil
}

func (p *planted) RegisterNamespace(context.Context, *workflowservice.RegisterNamespaceRequest) (*workflowservice.RegisterNamespaceResponse, error) {
	return nil, serviceerror.ToStatus(serviceerror.NewNamespaceAlreadyExists("exists")).Err()
}

func (p *planted) DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	return p.namespace, nil
}

func (p *planted) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{}, nil
}

func (p *planted) CountWorkflowExecutions(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return &workflowservice.CountWorkflowExecutionsResponse{}, nil
}

func (p *planted) SignalWorkflowExecution(context.Context, *workflowservice.SignalWorkflowExecutionRequest) (*workflowservice.SignalWorkflowExecutionResponse, error) {
	return &workflowservice.SignalWorkflowExecutionResponse{}, p.signal
}

func TestAnExternalClusterThatCannotBeRightIsRefused(t *testing.T) {
	named := func(name string, s enums.NamespaceState) *workflowservice.DescribeNamespaceResponse {
		return &workflowservice.DescribeNamespaceResponse{NamespaceInfo: &namespacepb.NamespaceInfo{Name: name, State: s}}
	}
	right := named("patchcycle", enums.NAMESPACE_STATE_REGISTERED)
	unknown := serviceerror.ToStatus(serviceerror.NewNotFound("no such workflow")).Err()
	denied := serviceerror.ToStatus(serviceerror.NewPermissionDenied("no", "")).Err()
	cases := []struct {
		name    string
		cluster planted
		open    bool
		words   []string // none: it is accepted
	}{
		{"it answers for another namespace", planted{namespace: named("payroll", enums.NAMESPACE_STATE_REGISTERED), signal: denied}, false, []string{`"patchcycle"`, `"payroll"`}},
		{"its namespace is deleted", planted{namespace: named("patchcycle", enums.NAMESPACE_STATE_DELETED), signal: denied}, false, []string{"is deleted"}},
		{"it takes a signal from anybody", planted{namespace: right}, false, []string{"without credentials", "External.Open"}},
		{"it tells anybody that there is no such workflow", planted{namespace: right, signal: unknown}, false, []string{"without credentials"}},
		{"it is open and that is accepted", planted{namespace: right, signal: unknown}, true, nil},
		{"it is closed", planted{namespace: right, signal: denied}, false, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			srv := grpc.NewServer()
			workflowservice.RegisterWorkflowServiceServer(srv, &c.cluster)
			operatorservice.RegisterOperatorServiceServer(srv, &c.cluster)
			go srv.Serve(l) // ends with Stop
			t.Cleanup(srv.Stop)
			o := engine.Options{External: &engine.External{Address: l.Addr().String(), Open: c.open}}
			if c.words == nil {
				startEngine(t, o)
				return
			}
			requireNoStart(t, o, c.words...)
		})
	}
}

func TestBeyondLoopbackTheEngineSpeaksTLS(t *testing.T) {
	cert, key := certificate(t)
	s := newTown(t, engine.Options{IP: "0.0.0.0", TLSCert: cert, TLSKey: key, UI: true})
	_, err := s.as(t, auditor).CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{})
	require.Error(t, err, "it answers in the clear")

	site := httptest.NewServer(s.UIHandler())
	t.Cleanup(site.Close)
	status, body := fetch(t, signIn(t, s, site.URL, auditor), http.MethodGet, site.URL+"/api/v1/namespaces/patchcycle/workflows")
	require.Equal(t, http.StatusOK, status, body)

	far := startEngine(t, engine.Options{External: &engine.External{Address: s.Addr(), Token: s.product, CAFile: cert}})
	_, err = far.Client().ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "test"}, "Cycle")
	require.NoError(t, err)
	requireNoStart(t, engine.Options{External: &engine.External{Address: s.Addr(), Token: s.product, TLS: true}}, "certificate")
}

// certificate makes a self-signed one for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return certFile, keyFile
}
